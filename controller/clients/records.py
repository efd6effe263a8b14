"""Where release records live, with the files they speak of: the memory that survives the state folder.

Two places keep the same promises: a repository of artifacts (Remote mode) and a named volume of the Docker Engine
(Engine mode). A record that cannot be read is never taken for absent and never written over.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

from packaging.version import InvalidVersion, Version

from controller.clients.registry import Registry
from controller.model.errors import NotFound, Terminal
from controller.model.record import CORRUPT, Artifact, ReleaseRecord

RECORD_TYPE: Final = "application/vnd.molecule.workspace-runtime.record.v1+json"
FILE_TYPE: Final = "application/vnd.molecule.workspace-runtime.file.v1"


_FILE_TAG: Final = "file-"


def tag_of(version: str) -> str:
    """Return the tag of a version's record. Normalised versions hold neither `-` nor `_`, so it can be undone."""
    return version.replace("+", "-").replace("!", "_")


def version_of(tag: str) -> str | None:
    """Return the version whose record has this tag, or None for a tag of anything else."""
    version = tag.replace("-", "+").replace("_", "!")
    try:
        return version if str(Version(version)) == version else None
    except InvalidVersion:
        return None


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


class RegistryRecords:
    """Records as OCI artifacts of one repository: tag = version, and one tag per file."""

    def __init__(self, registry: Registry, repository: str, *, cache: Path | None = None) -> None:
        """`repository` is `registry.artifacts`; `cache` a folder for files that never change, by SHA-256."""
        self._registry = registry
        self._repository = repository
        self._files = FileCache(cache)
        self._read: dict[str, ReleaseRecord] = {}
        # One write at a time: registry 2.8 answers 400 to a manifest whose blob is being linked by another upload.
        self._writing = asyncio.Lock()

    async def versions(self) -> frozenset[str]:
        """See `RecordStore`."""
        tags = await self._registry.tags(self._repository)
        return frozenset(version for tag in tags if (version := version_of(tag)) is not None)

    async def records(self, versions: Collection[str] | None = None) -> Mapping[str, ReleaseRecord]:
        """See `RecordStore`; one HEAD for each, and the content only of what is new to this process."""
        wanted = sorted(await self.versions() if versions is None else set(versions))
        found = await asyncio.gather(*(self._find(version) for version in wanted))
        return {record.version: record for record in found if record is not None}

    async def get(self, version: str) -> ReleaseRecord:
        """See `RecordStore`."""
        reference = f"{self._repository}:{tag_of(version)}"
        digest = await self._registry.digest(reference)
        if digest not in self._read:
            kind, content = await self._registry.artifact(f"{self._repository}@{digest}")
            if kind != RECORD_TYPE:
                raise Terminal(
                    CORRUPT,
                    f"{reference} is no release record, but {kind or 'an image'}.",
                    fix="Name a repository of its own in registry.artifacts, or delete that tag.",
                )
            self._read[digest] = read_record(content, version, where=reference)
        return self._read[digest]

    async def put(self, record: ReleaseRecord) -> None:
        """See `RecordStore`."""
        await self._find(record.version)
        await self._put(tag_of(record.version), record.to_json(), kind=RECORD_TYPE, file="record.json")

    async def put_blob(self, name: str, content: bytes) -> Artifact:
        """See `RecordStore`."""
        artifact = artifact_of(name, content)
        # A registry's garbage collection removes what no manifest names, hence a tag for each file.
        await self._put(f"{_FILE_TAG}{artifact.sha256}", content, kind=FILE_TYPE, file=name)
        return artifact

    async def get_blob(self, artifact: Artifact) -> bytes:
        """See `RecordStore`."""
        if (kept := self._files.get(artifact)) is not None:
            return kept
        reference = f"{self._repository}:{_FILE_TAG}{artifact.sha256}"
        _, content = await self._registry.artifact(reference)
        verify(artifact, content, where=reference)
        self._files.put(artifact, content)
        return content

    async def _put(self, tag: str, content: bytes, *, kind: str, file: str) -> None:
        async with self._writing:
            await self._registry.put_artifact(f"{self._repository}:{tag}", content, kind=kind, file=file)

    async def _find(self, version: str) -> ReleaseRecord | None:
        try:
            return await self.get(version)
        except NotFound:
            return None
