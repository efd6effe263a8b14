"""`publish`: the given files are served by the index, byte for byte, when this is done; running it again changes nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from yarl import URL

from builder.contract import Outcome, PublishRun, Report
from builder.index import Credentials
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
        "--credentials", type=Path, metavar="DIR", help="a folder with files token, or username and password"
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
    credentials = _credentials(given.credentials)
    # NOTE: elsewhere the simple index gets no credentials: it may belong to somebody else (a mirror, a cache)
    reader = credentials if URL(given.simple_url).origin() == URL(given.upload_url).origin() else None
    async with open_index(given.simple_url, credentials=reader, ca=given.ca) as index:
        there = await stage.already_served(index, release)
        uploaded = await _upload(given, credentials, stage.missing_files(release, there))
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
    given: PublishRun, credentials: Credentials | None, files: Sequence[stage.ReleaseFile]
) -> set[str]:
    """Upload files one after the other; return the names of those that were not there."""
    if not files:
        return set()
    from builder.stages._upload import Upload  # noqa: PLC0415 -- twine is slow to import, and often nothing is missing

    target = Upload(given.upload_url, credentials, given.ca)
    uploaded = await asyncio.to_thread(target.send, [file.path for file in files])
    for file in files:
        if (
            file.name not in uploaded
        ):  # another run was faster, or the index shows late what it has: what it serves decides
            sys.stderr.write(f"The index says that it has a file {file.name} already.\n")
    return uploaded


def _credentials(folder: Path | None) -> Credentials | None:
    if folder is None:
        return None
    token, username, password = (folder / name for name in ("token", "username", "password"))
    if token.is_file():
        return Credentials("__token__", _secret(token))
    if username.is_file() and password.is_file():
        return Credentials(_secret(username), _secret(password))
    raise Refused(
        "CredentialsMissing",
        [f"{folder} holds neither a file token nor files username and password. Put the credentials there."],
    )


def _secret(file: Path) -> str:
    return file.read_text().strip()
