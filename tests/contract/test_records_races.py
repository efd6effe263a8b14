"""Several writers of one record in a real registry, which cannot exclude them: nothing that any of them wrote is lost."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from time import monotonic

import pytest

from controller.clients import record_reader
from controller.clients.record_reader import RECORD_TYPE
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.errors import Terminal, Transient
from controller.model.record import ReleaseRecord, Verdict
from controller.model.record_part import Artifact
from controller.model.template_record import TemplateRecord
from tests.contract.record_promises import NOON, record


@pytest.fixture
async def machines(registry: str) -> AsyncIterator[list[RegistryRecords]]:
    """Three processes that share one repository."""
    name = f"{registry}/t{secrets.token_hex(4)}/artifacts"
    async with AsyncExitStack() as stack:
        access = RegistryAccess(registry, insecure=True)
        yield [RegistryRecords(await stack.enter_async_context(Registry(access)), name) for _ in range(3)]


def with_image(name: str, *, proven: bool = False) -> TemplateRecord:
    return TemplateRecord(image=f"r.example/{name}:candidate-1", image_id=f"sha256:{'1' * 64}", proven=proven)


async def prove(store: RegistryRecords, name: str) -> None:
    await store.amend("0.1.1", lambda current: current.with_template(name, with_image(name, proven=True)))


async def test_amendments_of_three_writers_at_once_are_all_kept(machines: list[RegistryRecords]) -> None:
    names = [f"template-{number}" for number in range(9)]
    await machines[0].put(record("0.1.1"))
    await asyncio.gather(
        *(prove(machines[number % 3], name) for number, name in enumerate(names)),
    )
    for store in machines:
        kept = (await store.get("0.1.1")).templates
        assert {name for name, image in kept.items() if image.proven} == set(names)
        assert (await store.records())["0.1.1"].templates == kept


class Slow(RegistryRecords):
    """A writer that waits before it stores anything, as one behind a slow line does."""

    def __init__(self, fast: RegistryRecords) -> None:
        super().__init__(fast.registry, fast.repository)
        self.about_to_write = asyncio.Event()
        self.go_on = asyncio.Event()

    async def _store(self, tag: str, content: bytes, *, kind: str, file: str) -> str:
        self.about_to_write.set()
        await self.go_on.wait()
        return await super()._store(tag, content, kind=kind, file=file)


async def test_a_slow_writer_does_not_undo_what_was_written_while_it_was_at_it(
    machines: list[RegistryRecords],
) -> None:
    fast = machines[0]
    slow = Slow(machines[1])
    await fast.put(record("0.1.1"))
    failed = Verdict(value="Failed", reason="GateFailed", message="echo: no answer", time=NOON)
    writing = asyncio.create_task(prove(slow, "echo"))
    await slow.about_to_write.wait()
    await fast.amend("0.1.1", lambda current: current.judged(failed))
    slow.go_on.set()
    await writing
    kept = await machines[2].get("0.1.1")
    assert kept.verdict == failed
    assert kept.templates["echo"].proven


async def test_a_writer_begins_nothing_else_before_what_it_writes_is_there(
    machines: list[RegistryRecords],
) -> None:
    slow = Slow(machines[0])
    await machines[1].put(record("0.1.1"))
    first = asyncio.create_task(prove(slow, "echo"))
    await slow.about_to_write.wait()
    slow.about_to_write.clear()
    second = asyncio.create_task(prove(slow, "greeter"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.about_to_write.wait(), 0.3)
    slow.go_on.set()
    await asyncio.gather(first, second)
    kept = (await machines[2].get("0.1.1")).templates
    assert {name for name, image in kept.items() if image.proven} == {"echo", "greeter"}


class Dying(RegistryRecords):
    """A writer that ends when it has stored its own copy."""

    async def _store(self, tag: str, content: bytes, *, kind: str, file: str) -> str:
        if ".writer-" not in tag:
            raise Transient("power cut")
        return await super()._store(tag, content, kind=kind, file=file)


async def test_what_a_writer_stored_before_it_died_is_found_by_the_next_one(
    machines: list[RegistryRecords],
) -> None:
    await machines[0].put(record("0.1.1"))
    with pytest.raises(Transient, match="power cut"):
        await prove(Dying(machines[1].registry, machines[1].repository), "echo")
    assert (await machines[2].get("0.1.1")).templates == {}
    await prove(machines[2], "greeter")
    kept = (await machines[0].get("0.1.1")).templates
    assert {name: image.proven for name, image in kept.items()} == {"echo": True, "greeter": True}


def of(wheel: str, minute: int, **facts: object) -> ReleaseRecord:
    artifact = Artifact(file="x-0.1.1-py3-none-any.whl", sha256=wheel * 64, size=1)
    recorded = NOON + timedelta(minutes=minute)
    return record("0.1.1", wheel=artifact, recorded_time=recorded, **facts)


async def test_of_two_who_record_other_bytes_at_once_one_stands_whole(
    machines: list[RegistryRecords],
) -> None:
    """The newer one, with its own images; the other one's come too late to be written beside its wheel."""
    slow, fast = Slow(machines[0]), machines[1]
    writing = asyncio.create_task(slow.put(of("a", 1)))
    await slow.about_to_write.wait()
    await fast.put(of("c", 2))
    await prove(fast, "echo")
    slow.go_on.set()
    await writing
    await prove(machines[2], "greeter")
    for store in (slow, *machines):
        kept = await store.get("0.1.1")
        assert kept.wheel.sha256 == "c" * 64
        assert set(kept.templates) == {"echo", "greeter"}


async def test_a_reader_to_whom_nothing_is_new_asks_one_question(
    machines: list[RegistryRecords], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader, _ = machines
    for number in range(5):
        await writer.put(record(f"0.1.{number}"))
    before = await reader.records()
    asked: list[str] = []
    digest = Registry.digest

    async def counted(registry: Registry, reference: str) -> str:
        asked.append(reference)
        return await digest(registry, reference)

    monkeypatch.setattr(Registry, "digest", counted)
    monkeypatch.setattr(Registry, "tags", None)
    monkeypatch.setattr(Registry, "artifact", None)
    assert await reader.records() == before
    assert asked == [f"{reader.repository}:changed"]
    monkeypatch.undo()
    await writer.put(record("0.1.4", promoted=True))
    assert (await reader.records())["0.1.4"].promoted


async def test_a_record_that_people_changed_by_hand_is_read_again_before_long(
    machines: list[RegistryRecords], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader, _ = machines
    await writer.put(record("0.1.1"))
    assert set(await reader.records()) == {"0.1.1"}
    name = f"{reader.repository}:0.1.1"
    await reader.registry.put_artifact(name, b"{}", kind=RECORD_TYPE, file="record.json")
    assert set(await reader.records()) == {"0.1.1"}, "it believes that nothing changed"
    monkeypatch.setattr(record_reader, "monotonic", lambda: 1e12)
    with pytest.raises(Terminal, match="cannot be read"):
        await reader.records()


async def test_of_many_records_only_those_are_asked_for_again_that_may_have_changed_unnoticed(
    machines: list[RegistryRecords], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader, dying = machines
    for number in range(5):
        await writer.put(record(f"0.1.{number}"))
    before = dict(await reader.records())
    with pytest.raises(Transient, match="power cut"):
        await prove(Dying(dying.registry, dying.repository), "echo")
    await reader.registry.delete(
        reader.repository, await reader.registry.digest(f"{reader.repository}:0.1.4")
    )
    asked: list[str] = []
    digest = Registry.digest

    async def counted(registry: Registry, reference: str) -> str:
        asked.append(reference.rpartition(":")[2])
        return await digest(registry, reference)

    monkeypatch.setattr(Registry, "digest", counted)
    assert await reader.records() == before
    later = monotonic() + record_reader.RELIST_SECONDS + 1
    monkeypatch.setattr(record_reader, "monotonic", lambda: later)
    assert set(await reader.records()) == {"0.1.0", "0.1.1", "0.1.2", "0.1.3"}
    assert asked == ["changed", "changed", "0.1.1"]
    await reader.records()
    assert asked[3:] == ["changed"]
