"""Where release records live, with the files they speak of: the memory that survives the state folder.

Two places keep the same promises: a repository of artifacts (Remote mode) and a named volume of the Docker Engine
(Engine mode). A record that cannot be read is never taken for absent and never written over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from controller.model.errors import Terminal
from controller.model.record import CORRUPT, ReleaseRecord
from controller.model.record_part import Artifact


def artifact_of(name: str, content: bytes) -> Artifact:
    """Return the description of a file by its content."""
    return Artifact(file=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def verify(artifact: Artifact, content: bytes, *, where: str) -> None:
    """Check bytes against what a record says of them; raises Terminal ArtifactCorrupt."""
    found = hashlib.sha256(content).hexdigest()
    if found != artifact.sha256:
        raise Terminal(
            "ArtifactCorrupt",
            f"{artifact.file} at {where} has SHA-256 {found} where the record says {artifact.sha256}; it is not used.",
            fix="Restore it from a backup; if the version was not published, delete its record to build it anew.",
        )


def read_record(content: bytes, version: str, *, where: str) -> ReleaseRecord:
    """Return the record in `content`, which must be that of `version`; raises Terminal RecordCorrupt."""
    record = ReleaseRecord.from_json(content, where=where)
    if record.version != version:
        raise Terminal(
            CORRUPT,
            f"The release record {where} is that of version {record.version}.",
            fix="Delete it there; records are not to be copied between versions.",
        )
    return record


class RecordStore(Protocol):
    """Release records by version, and files by content.

    All methods raise Transient when the place cannot be reached, Terminal when it refuses or holds what cannot
    be right.
    """

    async def versions(self) -> frozenset[str]:
        """Return the versions that have a record."""

    async def records(self, versions: Collection[str] | None = None) -> Mapping[str, ReleaseRecord]:
        """Return the records of these versions (None: of all), leaving out those without one.

        Raises:
            Terminal: RecordCorrupt, for one that is there and cannot be read.
        """

    async def get(self, version: str) -> ReleaseRecord:
        """Return one record; raises NotFound when there is none, Terminal as `records` does."""

    async def put(self, record: ReleaseRecord) -> None:
        """Keep a record in place of the version's earlier one, completely or not at all.

        Raises:
            Terminal: RecordCorrupt, when the earlier one cannot be read: it may hold a Failed verdict.
        """

    async def amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        """Change the record of `version`; what others write meanwhile is not lost, as far as the place can tell.

        Raises:
            NotFound: there is no record of it.
        """

    async def put_blob(self, name: str, content: bytes) -> Artifact:
        """Keep a file and return what a record needs to find it again; keeping it twice changes nothing."""

    async def get_blob(self, artifact: Artifact) -> bytes:
        """Return a file's bytes, checked against its SHA-256.

        Raises:
            NotFound: it was never kept, or deleted.
            Terminal: ArtifactCorrupt, when the bytes kept are others.
        """


class FileCache:
    """A folder of files that never change, by SHA-256; without a folder, nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, artifact: Artifact) -> bytes | None:
        """Return the bytes, or None when they are not here or were changed."""
        if self._folder is None:
            return None
        try:
            content = (self._folder / artifact.sha256).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == artifact.sha256 else None

    def put(self, artifact: Artifact, content: bytes) -> None:
        """Keep the bytes; a folder that cannot be written costs the saving and nothing else."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Written aside and renamed: a reader of the same folder sees the whole file or none.
            aside = self._folder / f".{artifact.sha256}.{os.getpid()}"
            aside.write_bytes(content)
            aside.replace(self._folder / artifact.sha256)
