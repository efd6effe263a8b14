"""Changes of one record that come while it is being written: none is lost, and one write makes them all."""

import asyncio
from collections.abc import Callable

import pytest

from controller.clients.amendments import Amendments
from controller.model.errors import Terminal, Transient
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact

EMPTY = ReleaseRecord(
    package="x",
    version="0.1.1",
    publisher="molecule/x",
    wheel=Artifact(file="x.whl", sha256="a" * 64, size=1),
    content_sha256="b" * 64,
)


class Store:
    """A record whose writes wait until they are let through, one permit for each; `away` fail as a registry does."""

    def __init__(self, *, away: int = 0) -> None:
        self.written: list[tuple[str, ...]] = []
        self.permits = asyncio.Semaphore(0)
        self.away = away
        self.amendments = Amendments(asyncio.Lock(), self.write)
        self._record = EMPTY

    async def write(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        assert version == EMPTY.version
        changed = change(self._record)
        await self.permits.acquire()
        if self.away:
            self.away -= 1
            raise Transient("the registry is away")
        self._record = changed
        self.written.append(changed.requires)

    def note(self, name: str) -> asyncio.Task[None]:
        def change(record: ReleaseRecord) -> ReleaseRecord:
            if name == "bad":
                raise Terminal("Refused", "bad is refused", fix="Leave it.")
            return record.model_copy(update={"requires": (*record.requires, name)})

        return asyncio.create_task(self.amendments.make(EMPTY.version, change))

    async def begun(self, *names: str) -> list[asyncio.Task[None]]:
        tasks = []
        for name in names:
            tasks.append(self.note(name))
            await asyncio.sleep(0)
        return tasks

    async def let_through(self, number: int) -> None:
        for _ in range(number):
            self.permits.release()
            await asyncio.sleep(0.01)


async def test_changes_that_come_while_one_is_written_are_written_together_in_their_order() -> None:
    store = Store()
    tasks = await store.begun("a", "b", "c", "d")
    await store.let_through(2)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert store.written == [("a",), ("a", "b", "c", "d")]


async def test_a_change_that_raises_is_told_to_its_own_caller_and_keeps_no_other_from_being_made() -> None:
    store = Store()
    tasks = await store.begun("a", "b", "bad", "c")
    await store.let_through(2)
    with pytest.raises(Terminal, match="bad is refused"):
        await tasks.pop(2)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert store.written[-1] == ("a", "b", "c")


async def test_when_a_write_fails_each_that_waited_tries_for_itself() -> None:
    store = Store(away=2)
    tasks = await store.begun("a", "b", "c")
    await store.let_through(3)
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert [type(each) for each in ended] == [Transient, Transient, type(None)]
    assert store.written == [("c",)]


async def test_a_caller_that_is_cancelled_before_its_turn_changes_nothing() -> None:
    store = Store()
    tasks = await store.begun("a", "b", "c")
    tasks[1].cancel()
    await store.let_through(2)
    await asyncio.wait_for(asyncio.gather(tasks[0], tasks[2]), 20)
    assert store.written == [("a",), ("a", "c")]


async def test_a_refusal_in_a_write_that_failed_is_forgotten_when_the_change_is_made_after_all() -> None:
    store, asked = Store(away=2), 0

    def picky(record: ReleaseRecord) -> ReleaseRecord:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Terminal("Refused", "not yet", fix="Wait.")
        return record.model_copy(update={"requires": (*record.requires, "picky")})

    tasks = [*await store.begun("a", "b"), asyncio.create_task(store.amendments.make(EMPTY.version, picky))]
    await asyncio.sleep(0)
    await store.let_through(3)
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert [type(each) for each in ended] == [Transient, Transient, type(None)]
    assert store.written == [("picky",)]
