"""What one object's loop writes, and what becomes of a document or state folder that is wrong."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from controller.model.actions import Action, Cascade, Judge, Package, Probe, Publish, Tag
from controller.model.errors import Terminal
from controller.reconcile.loop import Reconciler
from controller.reconcile.result import Done
from tests.unit.reconcile.ground import Scene, drive, once, scene
from tests.unit.simulator.life import MemoryStore
from tests.unit.simulator.virtual_time import NOON, now, run, seconds

INVALID = Terminal(
    "Invalid", "runtime.yaml:5: spec.version: is required and missing.", fix="Nothing was touched."
)


def test_progress_is_written_before_anything_is_done() -> None:
    async def main() -> None:
        made = scene()
        written_at_start: list[int] = []

        async def before(action: Action) -> None:
            if isinstance(action, Package | Cascade | Probe | Publish | Tag | Judge):
                written_at_start.append(len(made.store.written))

        made.world.before = before
        await once(made)
        assert written_at_start[0] == 1
        first = made.store.written[0].condition("Reconciling")
        assert first is not None
        assert first.reason == "Building"

    run(main())


@dataclass
class FaultyStore(MemoryStore):
    """Refuses to be read or written while `fault` is set."""

    fault: Exception | None = None
    on: str = "read"

    async def read(self) -> Any:  # noqa: ANN401 -- as MemoryStore.read
        if self.fault is not None and self.on == "read":
            raise self.fault
        return await super().read()

    async def write(self, status: Any) -> None:  # noqa: ANN401 -- as MemoryStore.write
        if self.fault is not None and self.on == "write":
            raise self.fault
        await super().write(status)


def with_faulty_store(made: Scene) -> FaultyStore:
    store = FaultyStore(made.store.document, made.world.machine)
    made.store = made.loop.store = store
    return store


@pytest.mark.parametrize("on", ["read", "write"])
@pytest.mark.parametrize("forever", [False, True])
def test_a_document_or_state_folder_that_is_wrong_from_the_start_ends_the_loop(
    on: str, *, forever: bool
) -> None:
    async def main() -> None:
        made = scene()
        store = with_faulty_store(made)
        store.fault, store.on = INVALID, on
        with pytest.raises(Terminal):
            await (made.loop.run_forever() if forever else made.loop.run_once())
        assert made.world.performed == []

    run(main())


def test_a_slip_in_the_document_stops_nothing_that_is_under_way_and_is_told() -> None:
    async def main() -> None:
        made = scene()
        store = with_faulty_store(made)
        await drive(
            made,
            (20.0, lambda: setattr(store, "fault", INVALID)),
            (90.0, lambda: setattr(store, "fault", None)),
            (90.0, made.wake.set),
        )
        assert INVALID in made.troubles
        assert not [entry for entry in made.world.diary if entry[2] == "is cut off"]
        assert store.status.is_true("Ready")

    run(main())


def test_a_bug_in_a_pass_is_tried_again_ever_more_slowly() -> None:
    async def main() -> None:
        made = scene()
        store = with_faulty_store(made)
        store.fault = RuntimeError("a bug")
        await drive(made, (10.0, lambda: setattr(store, "fault", None)))
        assert len(made.troubles) == 4
        assert store.status.is_true("Ready")

    run(main())


def test_a_status_that_is_the_same_is_not_written_again_after_a_restart() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        writes = len(made.store.written)
        again = Reconciler(made.store, made.world, asyncio.Event(), clock=now)
        assert isinstance(await again.run_once(), Done)
        assert len(made.store.written) == writes

    run(main())


def test_times_in_the_status_are_those_of_the_clock() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        ready = made.store.status.condition("Ready")
        assert ready is not None
        assert ready.last_transition_time == NOON + timedelta(seconds=seconds())

    run(main())
