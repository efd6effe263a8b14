"""What every place for release records promises, as tests that a test class for each place inherits."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.clients.records import RecordStore
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord, Verdict
from controller.model.record_part import Artifact

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def record(version: str, **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field of a record
    wheel = Artifact(file=f"x-{version}-py3-none-any.whl", sha256="a" * 64, size=1)
    return ReleaseRecord(
        package="x", version=version, publisher="molecule/x", wheel=wheel, content_sha256="b" * 64
    ).model_copy(update=changes)


class StorePromises:
    """Needs a fixture `store`."""

    async def test_an_empty_place_has_no_versions_and_no_records(self, store: RecordStore) -> None:
        assert await store.versions() == frozenset()
        assert await store.records() == {}
        assert await store.records(["0.1.1"]) == {}
        with pytest.raises(NotFound):
            await store.get("0.1.1")

    async def test_a_record_reads_back_whole(self, store: RecordStore) -> None:
        failed = Verdict(value="Failed", reason="TurnFailed", message="echo: no answer", time=NOON)
        kept = record("0.1.1", verdict=failed)
        await store.put(kept)
        assert await store.get("0.1.1") == kept
        assert await store.records() == {"0.1.1": kept}

    async def test_a_later_record_takes_the_place_of_the_earlier_time_and_again(
        self, store: RecordStore
    ) -> None:
        for number in range(5):
            await store.put(record("0.1.1", requires=(f"x=={number}",)))
            assert (await store.get("0.1.1")).requires == (f"x=={number}",)
        assert await store.versions() == {"0.1.1"}

    async def test_putting_the_same_record_again_changes_nothing(self, store: RecordStore) -> None:
        await store.put(record("0.1.1"))
        await store.put(record("0.1.1"))
        assert await store.records() == {"0.1.1": record("0.1.1")}

    async def test_only_the_versions_asked_for_are_read(self, store: RecordStore) -> None:
        for version in ("0.1.0", "0.1.1", "0.1.2+local"):
            await store.put(record(version))
        assert set(await store.records(["0.1.1", "0.1.2+local", "0.1.9"])) == {"0.1.1", "0.1.2+local"}
        assert await store.versions() == {"0.1.0", "0.1.1", "0.1.2+local"}

    async def test_records_of_several_versions_can_be_put_at_once(self, store: RecordStore) -> None:
        versions = [f"0.1.{number}" for number in range(6)]
        await asyncio.gather(*(store.put(record(version)) for version in versions))
        assert set(await store.records()) == set(versions)

    async def test_a_file_reads_back_by_what_the_record_says_of_it(self, store: RecordStore) -> None:
        content = bytes(range(256)) * 1000
        kept = await store.put_blob("x-0.1.1-py3-none-any.whl", content)
        assert (kept.file, kept.size) == ("x-0.1.1-py3-none-any.whl", 256_000)
        assert await store.get_blob(kept) == content

    async def test_keeping_a_file_twice_changes_nothing(self, store: RecordStore) -> None:
        first = await store.put_blob("x.whl", b"same")
        assert await store.put_blob("x.whl", b"same") == first
        assert await store.get_blob(first) == b"same"

    async def test_an_absent_file_is_not_found(self, store: RecordStore) -> None:
        with pytest.raises(NotFound):
            await store.get_blob(Artifact(file="x.whl", sha256="c" * 64, size=1))
