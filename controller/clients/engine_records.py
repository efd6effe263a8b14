"""Release records in a named volume of a Docker Engine: for machines that have no registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from controller.clients.amendments import Amendments
from controller.clients.docker import DockerEngine
from controller.clients.records import FileCache, artifact_of, read_record, verify
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact


class EngineRecords:
    """Records in a volume, which outlives the state folder; keeps the promises of `RecordStore`.

    Each record has two slots, written in turn with a sequence number: whatever ends a write in the middle, the
    slot written before stays as it was.
    """

    def __init__(self, engine: DockerEngine, volume: str, *, cache: Path | None = None) -> None:
        """`volume` is `registry.artifacts`, made on the first write; `cache` as for `RegistryRecords`."""
        self._engine = engine
        self._volume = volume
        self._files = FileCache(cache)
        self._amendments = Amendments(asyncio.Lock(), self._amend)

    async def versions(self) -> frozenset[str]:
        """See `RecordStore`."""
        return frozenset(self._slots(await self._read("records/")))

    async def records(self, versions: Collection[str] | None = None) -> Mapping[str, ReleaseRecord]:
        """See `RecordStore`; one read of the volume whatever the number of records."""
        slots = self._slots(await self._read("records/"))
        wanted = slots if versions is None else slots.keys() & set(versions)
        return {version: self._newest(version, slots[version])[1] for version in sorted(wanted)}

    async def get(self, version: str) -> ReleaseRecord:
        """See `RecordStore`."""
        slots = self._slots(await self._read(f"records/{version}/"))
        if version not in slots:
            raise NotFound(f"There is no release record of {version} in volume {self._volume}")
        return self._newest(version, slots[version])[1]

    async def put(self, record: ReleaseRecord) -> None:
        """See `RecordStore`."""
        version = record.version
        slots = self._slots(await self._read(f"records/{version}/"))
        sequence = self._newest(version, slots[version])[0] + 1 if version in slots else 0
        content = json.dumps({"sequence": sequence, "record": json.loads(record.to_json())}, indent=1)
        path = f"records/{version}/{sequence % 2}.json"
        await self._engine.files.write(self._volume, {path: content.encode()})

    async def amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        """See `RecordStore`; the volume is that of one engine, and its writers are the runs of one machine."""
        await self._amendments.make(version, change)

    async def _amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        before = await self.get(version)
        record = change(before)
        if record != before:
            await self.put(record)

    async def put_blob(self, name: str, content: bytes) -> Artifact:
        """See `RecordStore`."""
        artifact = artifact_of(name, content)
        path = f"files/{artifact.sha256}/content"
        if (await self._read(f"files/{artifact.sha256}/")).get(path) != content:
            await self._engine.files.write(self._volume, {path: content})
        return artifact

    async def get_blob(self, artifact: Artifact) -> bytes:
        """See `RecordStore`."""
        if (kept := self._files.get(artifact)) is not None:
            return kept
        path = f"files/{artifact.sha256}/content"
        content = (await self._read(f"files/{artifact.sha256}/")).get(path)
        if content is None:
            raise NotFound(f"There is no file {artifact.file} ({artifact.sha256}) in volume {self._volume}")
        verify(artifact, content, where=f"volume {self._volume}, {path}")
        self._files.put(artifact, content)
        return content

    async def _read(self, prefix: str) -> Mapping[str, bytes]:
        try:
            return await self._engine.files.read(self._volume, prefix)
        except NotFound:
            return {}

    def _slots(self, files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
        for path, content in files.items():
            _, version, _ = path.split("/", 2)
            found.setdefault(version, {})[path] = content
        return found

    def _newest(self, version: str, slots: Mapping[str, bytes]) -> tuple[int, ReleaseRecord]:
        """Return sequence and record of the slot written last; one that cannot be read may be the newer one."""
        return max(
            (self._slot(version, path, content) for path, content in slots.items()), key=lambda slot: slot[0]
        )

    def _slot(self, version: str, path: str, content: bytes) -> tuple[int, ReleaseRecord]:
        where = f"volume {self._volume}, {path}"
        try:
            document = json.loads(content)
            sequence, record = int(document["sequence"]), json.dumps(document["record"]).encode()
        except (ValueError, KeyError, TypeError):
            # the record's own reader says what is wrong with bytes that are no document at all
            sequence, record = -1, b""
        return sequence, read_record(record, version, where=where)
