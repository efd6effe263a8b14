"""Release records as OCI artifacts of one repository: tag = version, one tag per file, and one per writer while it writes.

A registry has no conditional write: of two who change one record at the same time, the later one overwrites what the
other one has just stored, and neither is told. The one thing that no registry takes back is a tag that nobody else
writes. So whoever writes first stores a copy under a tag of its own (`<version>.writer-<name>`), and only then reads
the version's tag and the copies of all others, stores under the version's tag what they say together
(`record_merge`), and looks again until nothing is missing there. Whoever writes the version's tag last finds the copy
of everybody whom it overwrote; one that dies in the middle has left a copy that the next writer finds.

A copy may go once nobody can overwrite the version's tag without knowing it: when no other writer is at work. Each
says so of itself, by deleting its copy or, while others are at work, by storing it as one that is done with. Who
begins after that reads a version's tag in which everything is. Who has been at work for a day is taken for dead: a write
takes minutes at most, and after a pause its connection is gone, so that it would begin anew. A registry that does not allow deletion keeps one copy
per writer and version: nothing depends on their going. Reading stays one HEAD; the copies are only looked at by writers.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache as once
from functools import partial, reduce
from pathlib import Path
from typing import Final, TypeVar

from controller.api.conditions import Reason
from controller.clients.amendments import Amendments
from controller.clients.record_reader import (
    CHANGED_TAG,
    DONE_TYPE,
    RECORD_TYPE,
    WRITER_TAG,
    RecordReader,
    present,
    tag_of,
)
from controller.clients.records import FileCache, artifact_of, verify
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.record import CORRUPT, ReleaseRecord
from controller.model.record_merge import merged, succeeding
from controller.model.record_part import Artifact

FILE_TYPE: Final = "application/vnd.molecule.workspace-runtime.file.v1"
CHANGE_TYPE: Final = "application/vnd.molecule.workspace-runtime.change.v1"

T = TypeVar("T")

_FILE_TAG: Final = "file-"
_MOST_ROUNDS: Final = 20
_MOST_TROUBLES: Final = 5
_PAUSE_SECONDS: Final = 0.2
_DEAD_AFTER: Final = timedelta(days=1)
"""Much longer than any write, and than clocks of machines differ."""
_CREATED: Final = "org.opencontainers.image.created"
_TOO_MANY: Final = "The record of {} is being changed by too many others at once"


@dataclass(frozen=True, slots=True)
class _Copy:
    """A record as one writer stored it; `done`: that writer is through, or dead."""

    digest: str
    done: bool
    record: ReleaseRecord


@dataclass(frozen=True, slots=True)
class _Look:
    """What a writer sees: whether its copy is there, those of others, and what the version's tag lacks and should say."""

    own_is_there: bool
    others: Sequence[_Copy]
    missing: ReleaseRecord | None

    @property
    def at_work(self) -> bool:
        """Whether another writer may still store the version's tag, in ignorance of what it says now."""
        return any(not copy.done for copy in self.others)


class RegistryRecords:
    """The `RecordStore` of Remote mode."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        *,
        cache: Path | None = None,
        writer: Callable[[], str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`repository` is `registry.artifacts`; `cache` a folder for files that never change, by SHA-256.

        `writer` is asked once, before the first write, for a name of letters and digits that nobody else writes under
        at the same time; None: a random one. The same one again after a restart takes over what it left behind.
        """
        self.registry = registry
        self.repository = repository
        self._files = FileCache(cache)
        self._reader = RecordReader(registry, repository)
        self._writer = once(writer or partial(secrets.token_hex, 4))
        self._clock = clock
        self._may_delete = True
        # One write at a time: registry 2.8 answers 400 to a manifest whose blob is being linked by another upload.
        self._writing = asyncio.Lock()
        self._amendments = Amendments(self._writing, self._amend)

    async def versions(self) -> frozenset[str]:
        """See `RecordStore`."""
        return frozenset(await self._reader.versions())

    async def records(self, versions: Collection[str] | None = None) -> Mapping[str, ReleaseRecord]:
        """See `RecordStore`. Of all: one HEAD while nothing changes, else one for each, and the content of new ones."""
        return await (self._reader.all() if versions is None else self._reader.some(versions))

    async def get(self, version: str) -> ReleaseRecord:
        """See `RecordStore`."""
        return await self._reader.get(version)

    async def put(self, record: ReleaseRecord) -> None:
        """See `RecordStore`."""
        async with self._writing:
            before = await self._patiently(partial(self._reader.find, record.version))
            record = record if before is None else succeeding(record, before)
            if record != before:
                await self._write(record, before)

    async def amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        """See `RecordStore`; what comes while one write is at work is written by one more."""
        await self._amendments.make(version, change)

    async def _amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        before = await self._patiently(partial(self.get, version))
        record = change(before)
        if record != before:
            await self._write(record, before)

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

    async def _write(self, record: ReleaseRecord, before: ReleaseRecord | None) -> None:
        """Store a copy and the record, until the record says what all copies say; the lock is held.

        `before` is what `record` was made from: where that still stands, `record` takes its place.
        """
        look = partial(self._look, record, before)
        for _ in range(_MOST_ROUNDS):
            own, seen = await self._patiently(partial(self._bring_together, record, look))
            kind = RECORD_TYPE
            if seen.at_work:
                own, kind = await self._patiently(partial(self._store_copy, record, DONE_TYPE)), DONE_TYPE
                seen = await self._patiently(look)
            if seen.missing is None:
                break
            # Who stores the version's tag is at work, and says so first.
        else:
            raise Transient(_TOO_MANY.format(record.version))
        change = secrets.token_bytes(16)
        await self._patiently(partial(self._store, CHANGED_TAG, change, kind=CHANGE_TYPE, file="changed"))
        with contextlib.suppress(Problem):
            if not seen.at_work:
                await self._forget([own, *(copy.digest for copy in seen.others)])
            if kind != DONE_TYPE and not self._may_delete:
                await self._store_copy(record, DONE_TYPE)

    async def _bring_together(
        self, record: ReleaseRecord, look: Callable[[], Awaitable[_Look]]
    ) -> tuple[str, _Look]:
        """Store a copy, then what it, all other copies and the version's tag say together.

        Returns the digest of the copy, and what was seen at last, in which nothing is missing.
        """
        own = ""
        for _ in range(_MOST_ROUNDS):
            own = own or await self._store_copy(record, RECORD_TYPE)
            seen = await look()
            if seen.missing is None and seen.own_is_there:
                return own, seen
            if not seen.own_is_there:
                own = ""
            elif seen.missing is not None:
                content = seen.missing.to_json()
                where = tag_of(record.version)
                digest = await self._store(where, content, kind=RECORD_TYPE, file="record.json")
                self._reader.keep(digest, RECORD_TYPE, seen.missing)
        raise Transient(_TOO_MANY.format(record.version))

    async def _look(self, record: ReleaseRecord, before: ReleaseRecord | None) -> _Look:
        """Read all copies, and only then the version's tag: who is not among them reads that one later than we do."""
        begin, own = f"{tag_of(record.version)}{WRITER_TAG}", self._writer()
        tags = [tag for tag in await self.registry.tags(self.repository) if tag.startswith(begin)]
        others = [tag for tag in tags if tag != begin + own]
        copies = present(await asyncio.gather(*(self._copy(tag, record.version) for tag in others)))
        found = await self._reader.find(record.version)
        together = reduce(merged, [copy.record for copy in copies], record)
        if found is not None and found != before:
            together = merged(found, together)
        return _Look(begin + own in tags, copies, None if found == together else together)

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do `step` again where that helps.

        While somebody else stores the same, registry 2.8 answers 500 to whoever reads it and 400 to whoever stores it.
        """
        for troubles in range(1, _MOST_TROUBLES + 1):
            try:
                return await step()
            except (Transient, Terminal) as problem:
                if isinstance(problem, Terminal) and problem.reason != Reason.REGISTRY_REFUSED:
                    raise
            await asyncio.sleep(secrets.randbelow(1000) / 1000 * _PAUSE_SECONDS * troubles)
        return await step()

    async def _store_copy(self, record: ReleaseRecord, kind: str) -> str:
        """Store our copy and return its digest, which no other artifact has: deleting it takes no other tag along."""
        file = f"record-{self._writer()}-{secrets.token_hex(4)}.json"
        place = f"{tag_of(record.version)}{WRITER_TAG}{self._writer()}"
        return await self._store(place, record.to_json(), kind=kind, file=file)

    async def _forget(self, copies: Iterable[str]) -> None:
        """Delete copies that nobody needs any more, where that is allowed; what stays does no harm."""
        try:
            for digest in copies if self._may_delete else ():
                await self.registry.delete(self.repository, digest)
        except Terminal:
            self._may_delete = False

    async def _copy(self, tag: str, version: str) -> _Copy | None:
        try:
            digest, kind, record = await self._reader.at(tag, version, kinds=(RECORD_TYPE, DONE_TYPE))
        except NotFound:
            return None
        except Terminal as error:
            if error.reason != CORRUPT:
                raise
            raise Terminal(
                CORRUPT,
                f"Writer {tag.rpartition(WRITER_TAG)[2]} left a copy of the record of {version} that cannot be used. {error.message}",
                fix=f"Delete tag {tag} of {self.repository}: what it alone said is lost, and the record"
                f" {self.repository}:{tag_of(version)} stays as it is.",
            ) from error
        return _Copy(digest, kind == DONE_TYPE or await self._is_dead(digest), record)

    async def _is_dead(self, copy: str) -> bool:
        """Whether the writer of a copy would have been through long ago; one of an earlier release does not say since when."""
        try:
            noted = await self.registry.annotations(f"{self.repository}@{copy}")
            return datetime.fromisoformat(noted[_CREATED]) + _DEAD_AFTER < self._clock()
        except (NotFound, KeyError, ValueError, TypeError):
            return False

    async def _store(self, tag: str, content: bytes, *, kind: str, file: str) -> str:
        where = f"{self.repository}:{tag}"
        noted = {_CREATED: self._clock().isoformat()} if WRITER_TAG in tag else None
        return await self.registry.put_artifact(where, content, kind=kind, file=file, annotations=noted)
