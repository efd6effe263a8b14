"""`publish`: the given files are served by the index, byte for byte, when this is done; running it again changes nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from yarl import URL

from builder.contract import Outcome, PublishRun, Report
from builder.index import Credentials, Index, mint_upload_token
from builder.problems import Refused
from builder.simple_index import open_index
from builder.stages import publish as stage
from builder.verbs._arguments import Arguments, plain_url

_INSTEAD: Final = "Give them as files, by --credentials."


def run(arguments: Sequence[str]) -> Report:
    """Read the arguments of `publish` and run it."""
    return asyncio.run(publish(parse(arguments)))


def parse(arguments: Sequence[str]) -> PublishRun:
    """Read what follows `publish` on the command line."""
    parser = Arguments("publish", "Make an index serve exactly these files.")
    parser.add_argument(
        "--dist",
        type=Path,
        required=True,
        action="append",
        metavar="PATH",
        help="a file, or a folder with exactly the wheel and the sdist; may be given again",
    )
    parser.add_argument("--upload-url", required=True, metavar="URL", help="where twine uploads to")
    parser.add_argument(
        "--simple-url", required=True, metavar="URL", help="where installers read, up to the project's name"
    )
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="DIR",
        help="a folder with files token, or username and password, or oidc-token",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="PEM certificates to trust")
    parser.add_argument(
        "--deadline", type=float, required=True, metavar="SECONDS", help="how long to wait for the index"
    )
    given = parser.parse_args(arguments)
    return PublishRun(
        files=tuple(given.dist),
        upload_url=plain_url(given.upload_url, instead=_INSTEAD),
        simple_url=plain_url(given.simple_url, instead=_INSTEAD),
        deadline_seconds=given.deadline,
        credentials=given.credentials,
        ca=given.ca,
    )


async def publish(given: PublishRun) -> Report:
    """Publish and report it.

    Raises:
        Refused, TryAgain: with the reasons of `builder.stages.publish`.
    """
    begun = time.monotonic()
    release = stage.read_release(given.files)
    secret = _secret(given.credentials) if given.credentials else _Secret()
    # NOTE: elsewhere the simple index gets no credentials: it may belong to somebody else (a mirror, a cache)
    reader = secret.credentials if URL(given.simple_url).origin() == URL(given.upload_url).origin() else None
    async with open_index(given.simple_url, credentials=reader, ca=given.ca) as index:
        there = await stage.already_served(index, release)
        uploaded = await _upload(given, secret, index, release, stage.missing_files(release, there))
        await stage.wait_until_served(index, release, deadline_seconds=given.deadline_seconds)
    facts: dict[str, Any] = {
        "version": release.version,
        "alreadyThere": not uploaded,
        "files": {
            file.name: {
                "sha256": file.sha256,
                "state": stage.State.UPLOADED if file.name in uploaded else stage.State.ALREADY_THERE,
            }
            for file in release.files
        },
        "seconds": round(time.monotonic() - begun, 3),
    }
    return Report(
        "publish", Outcome.DONE, "Published", f"The index serves {release.project} {release.version}.", facts
    )


async def _upload(
    given: PublishRun,
    secret: _Secret,
    index: Index,
    release: stage.Release,
    files: Sequence[stage.ReleaseFile],
) -> set[str]:
    """Upload files one after the other, the wheel first; return the names of those that were not there."""
    if not files:
        return set()
    from builder.stages._upload import Upload, read  # noqa: PLC0415 -- twine is slow to import, and often nothing is missing

    packages = read([file.path for file in files])
    target = Upload(given.upload_url, await _uploader(given, secret), given.ca)
    uploaded = set()
    for file, package in zip(files, packages, strict=True):
        if await asyncio.to_thread(target.send, package):
            uploaded.add(file.name)
            continue
        sys.stderr.write(f"The index says that it has a file {file.name} already.\n")
        # Another publisher was faster. When its bytes are others, no file of ours may join them.
        await stage.wait_until_served(index, release.only(file), deadline_seconds=given.deadline_seconds)
    return uploaded


async def _uploader(given: PublishRun, secret: _Secret) -> Credentials | None:
    if secret.identity is None:
        return secret.credentials
    token = await mint_upload_token(given.upload_url, secret.identity, ca_file=given.ca)
    return Credentials("__token__", token)


@dataclass(frozen=True, slots=True)
class _Secret:
    """What is known of us at the index: a user, an OIDC identity that an upload token is made for, or nothing."""

    credentials: Credentials | None = None
    identity: str | None = field(default=None, repr=False)


def _secret(folder: Path) -> _Secret:
    token, username, password = (folder / name for name in ("token", "username", "password"))
    identity = folder / "oidc-token"
    found = _Secret(
        Credentials("__token__", _content(token))
        if token.is_file()
        else Credentials(_content(username), _content(password))
        if username.is_file() and password.is_file()
        else None,
        _content(identity) if identity.is_file() else None,
    )
    if found == _Secret():
        raise Refused(
            "CredentialsMissing",
            [
                f"{folder} holds no credentials: no file token, no username and password, no oidc-token. Put them there."
            ],
        )
    return found


def _content(file: Path) -> str:
    return file.read_text().strip()
