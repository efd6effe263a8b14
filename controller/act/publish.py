"""Makes the recorded bytes of a version public, and waits until the index serves exactly them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import Version

from builder.contract import WAITING, PublishRun
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.identity import identity_token
from controller.clients.parts import Parts
from controller.clients.runs import Run
from controller.model.actions import Publish
from controller.model.errors import Terminal, Transient
from controller.model.record import ReleaseRecord
from controller.settings import INDEX_CA, INDEX_CREDENTIALS


async def publish(parts: Parts, document: WorkspaceRuntime, action: Publish) -> str:
    """Upload what is recorded, never a rebuild; the same bytes already there are success.

    Raises:
        Terminal: CredentialsMissing; the index refuses, or serves other bytes under this version.
        Transient: the index is away, or does not show the files within the document's deadline; or the record names
            other bytes by now than were decided on.
    """
    record = _same_bytes(await parts.records.get(action.version), action)
    if Version(action.version).local is not None:
        raise Terminal(
            "PublishRefused",
            f"{action.version} is a local version, which no index takes.",
            fix="Choose a version without '+'.",
        )
    with _private_folder(parts.folder / f"publish-{action.wheel_sha256[:16]}") as folder:
        dist = folder / "dist"
        dist.mkdir()
        for artifact in (record.wheel, record.sdist):
            if artifact is not None:
                (dist / artifact.file).write_bytes(await parts.records.get_blob(artifact))
        credentials = await _credentials(parts, document, folder)
        run = _run(parts, document, action, dist=dist, credentials=credentials)
        with parts.waiting(action.key) as waits_for:
            report = await parts.runs.run(run, progress=_telling(parts.say, waits_for))
    now = datetime.now(UTC)
    await parts.amend(action.version, lambda current: _same_bytes(current, action).published(now))
    return "it was there already" if report.facts.get("alreadyThere") else "the index serves it"


def _same_bytes(record: ReleaseRecord, action: Publish) -> ReleaseRecord:
    """Return the record when it is of the wheel that was decided on: another publisher may write it at any time."""
    if record.wheel.sha256 != action.wheel_sha256:
        raise Transient(
            f"The record of {action.version} names wheel {record.wheel.sha256} by now, and {action.wheel_sha256} was to be published"
        )
    return record


def _telling(say: Callable[[str], None], waits_for: Callable[[str], None]) -> Callable[[str], None]:
    """Return what takes a run's log: all of it is progress, and what it waits for belongs into the status, too."""

    def tell(line: str) -> None:
        say(line)
        if line.startswith(WAITING):
            waits_for(line)

    return tell


def _run(parts: Parts, document: WorkspaceRuntime, action: Publish, *, dist: Path, credentials: Path) -> Run:
    index = document.spec.package.index
    ca_file = parts.settings.ca_file(index.ca_secret_name, field=INDEX_CA)
    given = PublishRun(
        files=(dist,),
        upload_url=index.upload_url,
        simple_url=index.simple_url,
        deadline_seconds=float(index.visible_deadline_seconds),
        credentials=credentials,
        ca=ca_file,
    )
    inputs = {"version": action.version, "wheel": action.wheel_sha256, "index": index.upload_url}
    return Run(
        "publish",
        given.arguments(),
        inputs,
        reads=(dist,),
        secrets=(credentials, *((ca_file.parent,) if ca_file else ())),
        maximum_seconds=index.visible_deadline_seconds + 600.0,
    )


async def _credentials(parts: Parts, document: WorkspaceRuntime, folder: Path) -> Path:
    """Return a folder with the upload's credentials as files."""
    index, settings = document.spec.package.index, parts.settings
    if index.credentials_secret_name is not None:
        files = settings.secret(index.credentials_secret_name, field=INDEX_CREDENTIALS)
        return next(iter(files.values())).parent
    if settings.pypi_token is not None:
        return _written(folder, "token", settings.pypi_token)
    if settings.identity is not None:
        ca_file = settings.ca_file(index.ca_secret_name, field=INDEX_CA)
        identity = await identity_token(settings.identity, index.upload_url, ca_file=ca_file)
        return _written(folder, "oidc-token", identity)
    raise no_credentials(index.upload_url)


def no_credentials(upload_url: str) -> Terminal:
    """Return what it means that nothing may upload to the index."""
    return Terminal(
        "CredentialsMissing",
        f"There are no credentials for uploads to {upload_url}; the candidates are kept.",
        fix="Name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN.",
    )


def _written(folder: Path, key: str, value: str) -> Path:
    secret = folder / "credentials"
    secret.mkdir(mode=0o700)
    descriptor = os.open(secret / key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(value)
    return secret


@contextmanager
def _private_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that is ours alone, with the same name whenever this wheel is published: it is part of the run."""
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
