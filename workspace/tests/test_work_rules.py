"""The rules of accepting, counting, ordering and refusing work, without a process around them."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]


@pytest.fixture
def ledger(load: Load) -> Any:
    return load("task_ledger").TaskLedger()


@pytest.fixture
def lifecycle(load: Load, ledger: Any) -> Any:
    wedge = load("runtime_wedge").Wedge(after_seconds=60)
    lifecycle = load("lifecycle").Lifecycle(ledger, wedge, max_waiting=2)
    lifecycle.ready()
    return lifecycle


def test_a_message_counts_from_acceptance_to_the_end_of_its_turn(ledger: Any, lifecycle: Any) -> None:
    ticket = lifecycle.admit()
    assert (ledger.workload().active, ledger.workload().queued) == (0, 1)
    assert ticket.claim()
    ticket.start()
    assert (ledger.workload().active, ledger.workload().queued) == (1, 0)
    time.sleep(0.02)
    assert ledger.workload().oldest_seconds >= 0.02
    ticket.close()
    ticket.close()
    assert (ledger.workload().active, ledger.workload().queued, ledger.workload().oldest_seconds) == (0, 0, 0)


def test_only_one_turn_closes_a_ticket(ledger: Any) -> None:
    ticket = ledger.open()
    assert ticket.claim()
    assert not ticket.claim()
    ticket.close()
    closed = ledger.open()
    closed.close()
    assert not closed.claim()


def test_no_message_slips_past_a_drain_that_has_reported_none(
    load: Load, ledger: Any, lifecycle: Any
) -> None:
    refusal = load("lifecycle").Refusal
    stop = threading.Event()

    def knock() -> None:
        while not stop.is_set():
            try:
                lifecycle.admit().close(counts=False)
            except refusal:
                time.sleep(0)

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            lifecycle.drain(60)
            deadline = time.monotonic() + 5
            while ledger.workload().queued and time.monotonic() < deadline:
                time.sleep(0)
            # From here on, nothing may appear.
            assert all(ledger.workload().queued == 0 for _ in range(20))
            lifecycle.resume()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_stopping_is_final(load: Load, lifecycle: Any) -> None:
    lifecycle.drain(0.05)
    assert lifecycle.stop()
    assert not lifecycle.stop()
    lifecycle.resume()
    time.sleep(0.15)
    assert lifecycle.state() == "draining"
    with pytest.raises(load("lifecycle").Refusal, match="draining"):
        lifecycle.admit()


def test_the_expiry_of_a_drain_is_logged_once(lifecycle: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        lifecycle.drain(0.05)
        lifecycle.drain(0.1)
        time.sleep(0.3)
    assert lifecycle.state() == "serving"
    assert caplog.text.count("Taking work again") == 1


def test_messages_beyond_the_waiting_room_are_refused(load: Load, lifecycle: Any) -> None:
    first, second = lifecycle.admit(), lifecycle.admit()
    with pytest.raises(load("lifecycle").Refusal, match="2 messages wait already"):
        lifecycle.admit()
    first.start()
    lifecycle.admit()
    second.close()


def test_an_adapter_may_say_that_it_is_wedged(load: Load, ledger: Any) -> None:
    wedge = load("runtime_wedge").Wedge(after_seconds=60)
    lifecycle = load("lifecycle").Lifecycle(ledger, wedge, max_waiting=2)
    lifecycle.ready()
    said: list[str | None] = [None]
    wedge.ask(lambda: said[0])
    assert lifecycle.state() == "serving"
    said[0] = "the SDK is gone"
    assert (lifecycle.state(), wedge.reason()) == ("wedged", "the SDK is gone")


def test_the_error_rate_is_of_the_latest_hundred_turns(ledger: Any) -> None:
    assert ledger.error_rate() == (0, "")
    for number in range(150):
        ledger.open().close(failure="boom" if number < 75 else None)
    assert ledger.error_rate() == (0.25, "boom")
    ledger.open().close(counts=False)
    assert ledger.error_rate() == (0.25, "boom")


async def test_turns_of_one_conversation_keep_their_order_and_never_overlap(load: Load) -> None:
    limits = load("policies.limits")
    slots = limits.TurnSlots(limits.TaskLimits(max_concurrent=2))
    events: list[str] = []
    running = 0
    most = 0

    async def turn(context: str, number: int) -> None:
        nonlocal running, most
        async with slots.turn(context):
            running += 1
            most = max(most, running)
            events.append(f"{context}{number} in")
            await asyncio.sleep(0.01)
            events.append(f"{context}{number} out")
            running -= 1

    await asyncio.gather(*(turn(context, number) for context in "abc" for number in range(3)))

    assert most == 2
    for context in "abc":
        own = [event for event in events if event.startswith(context)]
        assert own == [f"{context}{number} {way}" for number in range(3) for way in ("in", "out")]
    assert slots._conversations == {}, "a finished conversation must leave nothing behind"  # noqa: SLF001 - the leak is only visible inside


async def test_a_conversation_with_a_queue_leaves_the_slots_to_others(load: Load) -> None:
    limits = load("policies.limits")
    slots = limits.TurnSlots(limits.TaskLimits(max_concurrent=2))
    free = asyncio.Event()

    async def hold() -> None:
        async with slots.turn("busy"):
            await free.wait()

    holders = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20), slots.turn("other"):
        free.set()
    await asyncio.gather(*holders)


def test_conversations_forget_the_least_recently_used(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("conversations")
    monkeypatch.setattr(module, "MAX_CONVERSATIONS", 2)
    exchange = load("adapters.base").Exchange(user="u", agent="a")
    memory = module.Conversations()
    for context in ("one", "two", "one", "three"):
        memory.add(context, exchange)
    assert [len(memory.history(context)) for context in ("one", "two", "three")] == [2, 0, 1]
    other = module.Conversations()
    other.restore(memory.export())
    assert other.history("one") == memory.history("one")


async def test_the_task_store_forgets_only_finished_tasks(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from a2a.server.context import ServerCallContext  # noqa: PLC0415 - beside its only use
    from a2a.types import Task, TaskState, TaskStatus  # noqa: PLC0415 - as above

    module = load("task_store")
    monkeypatch.setattr(module, "MAX_FINISHED_TASKS", 2)
    store = module.WorkspaceTaskStore()
    states = [TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_COMPLETED]
    for number, state in enumerate(states):
        await store.save(
            Task(id=str(number), context_id="c", status=TaskStatus(state=state)), ServerCallContext()
        )
    kept = [await store.get(str(number), ServerCallContext()) is not None for number in range(3)]
    assert kept == [True, False, True]
    assert [task["id"] for task in store.export()] == ["0", "2"]
