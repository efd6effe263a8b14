"""Release records as OCI artifacts of one repository: tag = version, and one tag per file and per writer.

A registry has no conditional write: of two who change one record at the same time, the later one overwrites what the
other one has just stored, and neither is told. The one thing that no registry takes back is a tag that nobody else
writes. So every process first stores its whole copy under a tag of its own (`<version>.writer-<random>`), then under
the version's; then it reads the version's tag back with all copies beside it, and writes again what they say together
(`record_merge`) until the version's tag says it. Whoever writes the version's tag last finds the copy of everybody
whom it overwrote, since that copy was stored before; one that dies in the middle has left a copy that the next writer
finds. Reading stays one HEAD: the copies are only looked at by writers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from pathlib import Path
from time import monotonic
from typing import Final

from packaging.version import InvalidVersion, Version

from controller.clients.records import FileCache, artifact_of, read_record, verify
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.record import CORRUPT, Artifact, ReleaseRecord
from controller.model.record_merge import merged, succeeding

RECORD_TYPE: Final = "application/vnd.molecule.workspace-runtime.record.v1+json"
FILE_TYPE: Final = "application/vnd.molecule.workspace-runtime.file.v1"
CHANGE_TYPE: Final = "application/vnd.molecule.workspace-runtime.change.v1"

CHANGED_TAG: Final = "changed"
"""Stands for something else after every write, so that an idle reader asks for nothing but this."""
REREAD_SECONDS: Final = 600.0
"""How long a reader believes that nothing changed because that tag did not: a writer may die before it moves it, and
people delete records by hand."""

_FILE_TAG: Final = "file-"
_WRITER_TAG: Final = ".writer-"
_MOST_ROUNDS: Final = 20
_MOST_TROUBLES: Final = 5
_PAUSE_SECONDS: Final = 0.2


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


class RegistryRecords:
    """The `RecordStore` of Remote mode."""

    def __init__(self, registry: Registry, repository: str, *, cache: Path | None = None) -> None:
        """`repository` is `registry.artifacts`; `cache` a folder for files that never change, by SHA-256."""
        self.registry = registry
        self.repository = repository
        self._files = FileCache(cache)
        self._read: dict[tuple[str, str], ReleaseRecord] = {}
        self._all: Mapping[str, ReleaseRecord] = {}
        self._all_as_of: str | None = None
        self._all_until = 0.0
        self._writer = secrets.token_hex(4)
        # One write at a time: registry 2.8 answers 400 to a manifest whose blob is being linked by another upload.
        self._writing = asyncio.Lock()

    async def versions(self) -> frozenset[str]:
        """See `RecordStore`."""
        tags = await self.registry.tags(self.repository)
        return frozenset(version for tag in tags if (version := version_of(tag)) is not None)

    async def records(self, versions: Collection[str] | None = None) -> Mapping[str, ReleaseRecord]:
        """See `RecordStore`. Of all: one HEAD while nothing changes, else one for each, and the content of new ones."""
        if versions is not None:
            return await self._records(versions)
        as_of = await self._changed()
        if as_of is None or as_of != self._all_as_of or monotonic() > self._all_until:
            self._all = await self._records(await self.versions())
            # What was written since `as_of` was read may be in it or not: it is read again then.
            self._all_as_of, self._all_until = as_of, monotonic() + REREAD_SECONDS
        return self._all

    async def get(self, version: str) -> ReleaseRecord:
        """See `RecordStore`."""
        return await self._at(tag_of(version), version)

    async def put(self, record: ReleaseRecord) -> None:
        """See `RecordStore`."""
        async with self._writing:
            before = await self._find(record.version)
            record = record if before is None else succeeding(record, before)
            if record != before:
                await self._write(record)

    async def amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        """See `RecordStore`."""
        async with self._writing:
            before = await self.get(version)
            record = change(before)
            if record != before:
                await self._write(record)

    async def put_blob(self, name: str, content: bytes) -> Artifact:
        """See `RecordStore`."""
        artifact = artifact_of(name, content)
        async with self._writing:
            # A registry's garbage collection removes what no manifest names, hence a tag for each file.
            await self._store(f"{_FILE_TAG}{artifact.sha256}", content, kind=FILE_TYPE, file=name)
        return artifact

    async def get_blob(self, artifact: Artifact) -> bytes:
        """See `RecordStore`."""
        if (kept := self._files.get(artifact)) is not None:
            return kept
        reference = f"{self.repository}:{_FILE_TAG}{artifact.sha256}"
        _, content = await self.registry.artifact(reference)
        verify(artifact, content, where=reference)
        self._files.put(artifact, content)
        return content

    async def _write(self, record: ReleaseRecord) -> None:
        """Store a copy and the record, until the record says what all copies say; the lock is held."""
        troubles = 0
        for _ in range(_MOST_ROUNDS):
            try:
                together = await self._round(record)
            except Transient:
                # Registry 2.8 answers 500 to whoever reads a tag at the moment in which somebody else writes it.
                troubles += 1
                if troubles > _MOST_TROUBLES:
                    raise
                await asyncio.sleep(secrets.randbelow(1000) / 1000 * _PAUSE_SECONDS * troubles)
                continue
            if together is None:
                break
            record = together
        else:
            raise Transient(f"The record of {record.version} is being changed by too many others at once")
        await self._store(CHANGED_TAG, secrets.token_bytes(16), kind=CHANGE_TYPE, file="changed")

    async def _round(self, record: ReleaseRecord) -> ReleaseRecord | None:
        """Store `record` and read back; return what is to be stored instead, None when nothing of any copy is missing."""
        tag = tag_of(record.version)
        for place in (f"{tag}{_WRITER_TAG}{self._writer}", tag):
            await self._store(place, record.to_json(), kind=RECORD_TYPE, file="record.json")
        copies = [record, *await self._copies(record.version)]
        found = await self._find(record.version)
        together = reduce(merged, copies)
        return None if found is not None and found == merged(found, together) else together

    async def _copies(self, version: str) -> list[ReleaseRecord]:
        """Return what other writers have stored of a version; one that is deleted meanwhile is none."""
        begin, own = f"{tag_of(version)}{_WRITER_TAG}", self._writer
        tags = [tag for tag in await self.registry.tags(self.repository) if tag.startswith(begin)]
        others = [tag for tag in tags if tag != begin + own]
        return _present(await asyncio.gather(*(self._maybe(tag, version) for tag in others)))

    async def _records(self, versions: Collection[str]) -> Mapping[str, ReleaseRecord]:
        found = await asyncio.gather(*(self._find(version) for version in sorted(set(versions))))
        return {record.version: record for record in _present(found)}

    async def _changed(self) -> str | None:
        try:
            return await self.registry.digest(f"{self.repository}:{CHANGED_TAG}")
        except NotFound:
            return None

    async def _find(self, version: str) -> ReleaseRecord | None:
        return await self._maybe(tag_of(version), version)

    async def _maybe(self, tag: str, version: str) -> ReleaseRecord | None:
        try:
            return await self._at(tag, version)
        except NotFound:
            return None

    async def _at(self, tag: str, version: str) -> ReleaseRecord:
        """Return the record under a tag; content that was read once is not read again."""
        reference = f"{self.repository}:{tag}"
        digest = await self.registry.digest(reference)
        if (digest, version) not in self._read:
            kind, content = await self.registry.artifact(f"{self.repository}@{digest}")
            if kind != RECORD_TYPE:
                raise Terminal(
                    CORRUPT,
                    f"{reference} is no release record, but {kind or 'an image'}.",
                    fix="Name a repository of its own in registry.artifacts, or delete that tag.",
                )
            self._read[digest, version] = read_record(content, version, where=reference)
        return self._read[digest, version]

    async def _store(self, tag: str, content: bytes, *, kind: str, file: str) -> None:
        await self.registry.put_artifact(f"{self.repository}:{tag}", content, kind=kind, file=file)


def _present(found: Iterable[ReleaseRecord | None]) -> list[ReleaseRecord]:
    return [record for record in found if record is not None]
