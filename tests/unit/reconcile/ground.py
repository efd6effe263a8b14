"""What the tests of one object's loop begin with: a loop over a simulated world, watched."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action
from controller.model.observation import Observation
from controller.reconcile.loop import Reconciler
from controller.reconcile.result import Pass, Result
from tests.unit.simulator.box import sha
from tests.unit.simulator.ground import Life, life
from tests.unit.simulator.life import MemoryStore, SimulatedWorld
from tests.unit.simulator.virtual_time import now, seconds

Do = Callable[[Action], Coroutine[Any, Any, None]]


@dataclass
class Watched(SimulatedWorld):
    """The simulated world with something before each action, and a diary of what began and ended when."""

    before: Do | None = None
    diary: list[tuple[float, str, str]] = field(default_factory=list)
    full_reads: list[float] = field(default_factory=list)
    looks_take: float = 0.0
    looks: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    """When each look began, and of which targets it needed only the proof."""

    async def observe(
        self,
        document: WorkspaceRuntime,
        *,
        earlier: Observation | None,
        record: bool = False,
        settled: Collection[str] = (),
    ) -> Observation:
        self.looks.append((seconds(), frozenset(settled)))
        if earlier is None:
            self.full_reads.append(seconds())
        await asyncio.sleep(self.looks_take)
        return await super().observe(document, earlier=earlier, record=record, settled=settled)

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        name = type(action).__name__
        self.diary.append((seconds(), name, "begins"))
        try:
            if self.before is not None:
                await self.before(action)
            line = await super().perform(document, action)
        except asyncio.CancelledError:
            await asyncio.sleep(0.25)  # cleaning up
            self.diary.append((seconds(), name, "is cut off"))
            raise
        except Exception:
            self.diary.append((seconds(), name, "fails"))
            raise
        self.diary.append((seconds(), name, "ends"))
        return line

    def times(self, name: str, what: str) -> list[float]:
        return [time for time, kind, event in self.diary if (kind, event) == (name, what)]


@dataclass
class Scene:
    store: MemoryStore
    world: Watched
    loop: Reconciler
    wake: asyncio.Event
    passes: list[Pass] = field(default_factory=list)
    told: list[tuple[str, str | Exception | None]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)

    def edit(self, **spec: Any) -> None:  # noqa: ANN401 -- any field of the spec
        self.store.edit(**spec)
        self.wake.set()


def scene(number: int = 2, before: Do | None = None, **spec: Any) -> Scene:  # noqa: ANN401 -- any field of the spec
    whole: Life = life(number, **spec)
    world = Watched(whole.world.machine, before=before)
    wake = asyncio.Event()
    made = Scene(whole.store, world, Reconciler(whole.store, world, wake, clock=now), wake)
    made.loop.on_pass = made.passes.append
    made.loop.on_action = lambda action, outcome: made.told.append((type(action).__name__, outcome))
    made.loop.on_trouble = made.troubles.append
    return made


def failing(kind: type[Action], *errors: Exception) -> Do:
    """Fail the first actions of `kind`, one with each error."""
    left = list(errors)

    async def before(action: Action) -> None:
        if isinstance(action, kind) and left:
            raise left.pop(0)

    return before


async def once(made: Scene) -> Result:
    async with asyncio.timeout(3600):
        return await made.loop.run_once()


async def drive(made: Scene, *events: tuple[float, Callable[[], None]], until: float = 600) -> None:
    """Run for good; do each of `events` at its time."""
    running = asyncio.create_task(made.loop.run_forever())
    for time, do in events:
        await asyncio.sleep(time - seconds())
        do()
    await asyncio.sleep(until - seconds())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def edit_source(made: Scene) -> None:
    made.world.machine.tree = sha("edited")
    made.wake.set()
