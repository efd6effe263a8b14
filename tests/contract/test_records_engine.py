"""Records in a volume of a real Docker Engine: what every store promises, and what only a volume can get wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.record_part import Artifact
from tests.contract.record_promises import StorePromises, record


@pytest.fixture
async def docker(engine: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(engine) as client:
        yield client


@pytest.fixture
def volume(docker_prefix: str) -> str:
    return f"{docker_prefix}artifacts"


@pytest.fixture
def store(docker: DockerEngine, volume: str) -> EngineRecords:
    return EngineRecords(docker, volume)


class TestEngineRecords(StorePromises):
    """The promises of `RecordStore`, kept by a volume."""


async def test_reading_makes_no_volume(docker: DockerEngine, volume: str, store: EngineRecords) -> None:
    await store.records()
    await store.versions()
    assert not await docker.volume_exists(volume)


async def test_a_write_that_ended_before_its_record_was_in_place_leaves_the_earlier_one(
    docker: DockerEngine, volume: str, store: EngineRecords
) -> None:
    await store.put(record("0.1.1", requires=("first",)))
    (before,) = await docker.files.read(volume, "records/")
    await store.put(record("0.1.1", requires=("second",)))
    (second,) = (await docker.files.read(volume, "records/")).keys() - {before}
    assert (await store.get("0.1.1")).requires == ("second",)
    # The engine takes the old name away before it puts the new file there: the third write must not be to `second`.
    await store.put(record("0.1.1", requires=("third",)))
    files = await docker.files.read(volume, "records/")
    assert b"second" in files[second]
    assert b"third" in files[before]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"sequence": 9}', b'{"sequence": 9, "record": {}}', b'{"sequence": "x", "record": {}}', b"[]"]
)  # fmt: skip
async def test_a_record_that_cannot_be_read_is_neither_absent_nor_written_over(
    docker: DockerEngine, volume: str, store: EngineRecords, content: bytes
) -> None:
    await store.put(record("0.1.1"))
    await docker.files.write(volume, {"records/0.1.1/1.json": content})
    before = await docker.files.read(volume, "records/")
    for attempt in (store.get("0.1.1"), store.records(), store.put(record("0.1.1", promoted=True))):
        with pytest.raises(Terminal) as caught:
            await attempt
        assert caught.value.reason == "RecordCorrupt"
        assert f"volume {volume}, records/0.1.1/1.json" in caught.value.message
    assert await docker.files.read(volume, "records/") == before


async def test_an_unreadable_record_does_not_hide_those_of_other_versions(
    docker: DockerEngine, volume: str, store: EngineRecords
) -> None:
    await store.put(record("0.1.1"))
    await docker.files.write(volume, {"records/0.1.0/0.json": b"{"})
    assert set(await store.records(["0.1.1"])) == {"0.1.1"}
    assert await store.versions() == {"0.1.0", "0.1.1"}


async def test_a_record_copied_to_another_version_is_refused(
    docker: DockerEngine, volume: str, store: EngineRecords
) -> None:
    document = {"sequence": 0, "record": json.loads(record("0.1.1").to_json())}
    await docker.files.write(volume, {"records/0.1.2/0.json": json.dumps(document).encode()})
    with pytest.raises(Terminal, match=r"0\.1\.2/0\.json is that of version 0\.1\.1"):
        await store.get("0.1.2")


async def test_a_file_whose_bytes_changed_is_refused(
    docker: DockerEngine, volume: str, store: EngineRecords
) -> None:
    kept = await store.put_blob("x.whl", b"wheel")
    await docker.files.write(volume, {f"files/{kept.sha256}/content": b"other"})
    with pytest.raises(Terminal, match="it is not used") as caught:
        await store.get_blob(kept)
    assert caught.value.reason == "ArtifactCorrupt"
    await store.put_blob("x.whl", b"wheel")
    assert await store.get_blob(kept) == b"wheel"


async def test_a_cached_file_outlives_the_volume(docker: DockerEngine, volume: str, tmp_path: Path) -> None:
    store = EngineRecords(docker, volume, cache=tmp_path / "cache")
    kept = await store.put_blob("x.whl", b"wheel")
    await store.get_blob(kept)
    await docker.remove_volume(volume)
    assert await store.get_blob(kept) == b"wheel"
    with pytest.raises(NotFound):
        await store.get_blob(Artifact(file="y.whl", sha256="d" * 64, size=1))


async def test_an_engine_that_does_not_answer_is_unknown_and_never_empty(tmp_path: Path) -> None:
    async with DockerEngine(f"unix://{tmp_path}/none.sock") as nobody:
        store = EngineRecords(nobody, "artifacts")
        for attempt in (store.versions(), store.records(), store.get("0.1.1"), store.put(record("0.1.1"))):
            with pytest.raises(Transient):
                await attempt


async def test_reading_costs_the_same_whatever_the_number_of_records(store: EngineRecords) -> None:
    loop = asyncio.get_running_loop()

    async def seconds() -> float:
        tries = []
        for _ in range(5):
            begun = loop.time()
            await store.records()
            tries.append(loop.time() - begun)
        return min(tries)

    await store.put(record("0.1.0"))
    one = await seconds()
    for number in range(1, 10):
        await store.put(record(f"0.1.{number}"))
    assert len(await store.records()) == 10
    assert await seconds() < 4 * one
