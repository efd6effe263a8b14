"""Reads release records from a registry: what was read once is not read again, and while nothing changes one HEAD says so."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Final, TypeVar

from packaging.version import InvalidVersion, Version

from controller.clients.records import read_record
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Terminal
from controller.model.record import CORRUPT, ReleaseRecord

RECORD_TYPE: Final = "application/vnd.molecule.workspace-runtime.record.v1+json"
DONE_TYPE: Final = "application/vnd.molecule.workspace-runtime.record.done.v1+json"
"""A copy whose writer is through: what it says still counts, and nobody has to wait for its writer."""

CHANGED_TAG: Final = "changed"
"""Stands for something else after every write, so that an idle reader asks for nothing but this."""
WRITER_TAG: Final = ".writer-"
"""Stands between version and writer in the tag of a writer's copy."""
RELIST_SECONDS: Final = 600.0
"""How long a reader believes that nothing changed because that tag did not: a writer may die before it moves it, which
leaves its copy, and people delete records by hand. Both are seen in the list of tags."""
REREAD_SECONDS: Final = 3600.0
"""How long it believes that nobody put another record in the place of one by hand."""

T = TypeVar("T")


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


def present(found: Iterable[T | None]) -> list[T]:
    """Return what there is of `found`."""
    return [each for each in found if each is not None]


class RecordReader:
    """Reads the records of one repository."""

    def __init__(self, registry: Registry, repository: str) -> None:
        """`repository` is `registry.artifacts`."""
        self.registry = registry
        self.repository = repository
        self._read: dict[tuple[str, str], tuple[str, ReleaseRecord]] = {}
        self._all: Mapping[str, ReleaseRecord] = {}
        self._as_of: str | None = None
        self._listed = self._reread = 0.0

    async def versions(self) -> Sequence[str]:
        """Return the versions that have a record."""
        return _versions(await self.registry.tags(self.repository))

    async def all(self) -> Mapping[str, ReleaseRecord]:
        """Return all records, by one HEAD while nothing has changed."""
        as_of, now = await self._changed(), monotonic()
        if as_of is None or as_of != self._as_of or now > self._reread + REREAD_SECONDS:
            self._all = await self.some(await self.versions())
            # What was written since `as_of` was read may be in it or not: it is read again then.
            self._as_of, self._listed, self._reread = as_of, now, now
        elif now > self._listed + RELIST_SECONDS:
            self._all = await self._relisted()
            self._listed = now
        return self._all

    async def _relisted(self) -> Mapping[str, ReleaseRecord]:
        """Return all records, of which only those are read that are new or that a writer is at, or died over."""
        tags = await self.registry.tags(self.repository)
        written = {tag.partition(WRITER_TAG)[0] for tag in tags if WRITER_TAG in tag}
        versions = _versions(tags)
        known = {
            each: self._all[each] for each in versions if each in self._all and tag_of(each) not in written
        }
        return known | dict(await self.some(set(versions) - known.keys()))

    async def some(self, versions: Collection[str]) -> Mapping[str, ReleaseRecord]:
        """Return the records of these versions, without those that there are none of."""
        found = await asyncio.gather(*(self.find(version) for version in sorted(set(versions))))
        return {record.version: record for record in present(found)}

    async def get(self, version: str) -> ReleaseRecord:
        """Return one record; raises NotFound when there is none."""
        _, _, record = await self.at(tag_of(version), version)
        return record

    async def find(self, version: str) -> ReleaseRecord | None:
        """Return one record, None when there is none."""
        try:
            return await self.get(version)
        except NotFound:
            return None

    async def at(
        self, tag: str, version: str, *, kinds: Collection[str] = (RECORD_TYPE,)
    ) -> tuple[str, str, ReleaseRecord]:
        """Return digest, kind and record under a tag; content that was read once is not read again."""
        reference = f"{self.repository}:{tag}"
        digest = await self.registry.digest(reference)
        if (digest, version) not in self._read:
            kind, content = await self.registry.artifact(f"{self.repository}@{digest}")
            if kind not in kinds:
                raise Terminal(
                    CORRUPT,
                    f"{reference} is no release record, but {kind or 'an image'}.",
                    fix="Name a repository of its own in registry.artifacts, or delete that tag.",
                )
            self._read[digest, version] = kind, read_record(content, version, where=reference)
        return digest, *self._read[digest, version]

    def keep(self, digest: str, kind: str, record: ReleaseRecord) -> None:
        """Remember what was just stored, so that it is not read."""
        self._read[digest, record.version] = kind, record

    async def _changed(self) -> str | None:
        try:
            return await self.registry.digest(f"{self.repository}:{CHANGED_TAG}")
        except NotFound:
            return None


def _versions(tags: Iterable[str]) -> Sequence[str]:
    return [version for tag in tags if (version := version_of(tag)) is not None]
