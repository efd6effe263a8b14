"""The loop: observe, classify, decide, write progress, act, until nothing is left to do.

It knows neither files nor Kubernetes: an `ObjectStore` supplies the document and keeps the status, a `World` reads
and changes what is outside. Nothing important lives here; a loop that dies is replaced by another one that reads
the world again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.errors import Problem, Terminal, Transient, Waiting
from controller.model.observation import Observation
from controller.model.plan import Action, Adopt, Cascade, Failure, Package, Plan, Probe, Progress, Replace
from controller.plan.decide import decide
from controller.plan.state import Held, State, UpToDate, classify
from controller.reconcile.stages import stage_of
from controller.status.summarize import Scope, summarize

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 60.0
OWN_NOISE_SECONDS: Final = 1.0
REREAD_ALL_AFTER: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The document as it is asked for now, its generation, and the status last written for it."""

    document: WorkspaceRuntime
    generation: int
    status: Status


class ObjectStore(Protocol):
    """Where the document comes from and the status goes to."""

    async def read(self) -> StoredObject:
        """Return the object as it is now. Raises Terminal when the document is not valid."""

    async def write(self, status: Status) -> None:
        """Keep `status`, completely or not at all."""


class World(Protocol):
    """What is outside: read at once, changed by actions."""

    async def observe(self, document: WorkspaceRuntime, *, earlier: Observation | None) -> Observation:
        """Read the world; with `earlier`, targets alone are read again. A source that fails is Unknown."""

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        """Do one action to its end and return one line about it. Raises a Problem when it did not succeed."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One turn of the loop, as observers of progress see it."""

    document: WorkspaceRuntime
    state: State
    plan: Plan
    status: Status


@dataclass(frozen=True, slots=True)
class Done:
    """What runs is what was asked for, or the milestone that was waited for is reached."""

    status: Status


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing moves until someone changes something."""

    reason: str
    message: str
    status: Status


Result = Done | Stalled


@dataclass(slots=True)
class _Attempts:
    """What went wrong with one action so far in this process."""

    count: int = 0
    failure: Failure | None = None


@dataclass(slots=True)
class Reconciler:
    """Drives one object.

    `on_pass` is told of every pass, `on_action` of an action's start (None), its end (a line) or its failure
    (a Problem). `milestone` ends `run_once` early.
    """

    store: ObjectStore
    world: World
    wake: asyncio.Event
    on_pass: Callable[[Pass], None] = lambda _: None
    on_action: Callable[[Action, str | Exception | None], None] = lambda _action, _outcome: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _tasks: dict[str, tuple[Action, asyncio.Task[str]]] = field(default_factory=dict)
    _attempts: dict[str, _Attempts] = field(default_factory=dict)
    _generation: int = -1
    _observation: Observation | None = None
    _observed_time: datetime | None = None

    async def run_once(self, *, milestone: Callable[[Status], bool] = lambda _: False) -> Result:
        """Reconcile until nothing is left to do, `milestone` holds, or someone must change something."""
        try:
            while True:
                turn = await self._turn()
                if isinstance(turn.state, UpToDate) or milestone(turn.status):
                    return Done(turn.status)
                stalled = turn.status.condition("Stalled")
                if stalled is not None:
                    return Stalled(stalled.reason, stalled.message, turn.status)
                if isinstance(turn.state, Held) and not self._tasks and not turn.plan.actions:
                    return Stalled(turn.state.reason, turn.state.message, turn.status)
                await self._wait(turn.plan.look_again)
        finally:
            await self._end_tasks()

    async def run_forever(self) -> None:
        """Reconcile until cancelled; work that must not be cut is finished by the next pass of whoever comes next."""
        try:
            while True:
                turn = await self._turn()
                await self._wait(turn.plan.look_again)
        finally:
            await self._end_tasks()

    async def _turn(self) -> Pass:
        self.wake.clear()
        stored = await self.store.read()
        if stored.generation != self._generation:
            self._generation = stored.generation
            self._attempts.clear()
            self._observation = None
            self._cancel_superseded(stored.document)
        observation = await self._observe(stored.document)
        state = classify(stored.document, observation)
        progress = self._progress()
        now = self.clock()
        plan = decide(stored.document, state, progress, now)
        starting = frozenset(action.key for action in plan.actions)
        announced = Progress(progress.in_flight | starting, progress.failures)
        scope = Scope(stored.document, stored.generation, observation, state, plan, announced)
        status = summarize(scope, stored.status, now)
        if status != stored.status:
            await self.store.write(status)
        turn = Pass(stored.document, state, plan, status)
        self.on_pass(turn)
        for action in plan.actions:
            self._start(stored.document, action)
        return turn

    async def _observe(self, document: WorkspaceRuntime) -> Observation:
        """Read all; while only targets change, and the rest was read moments ago, read the targets."""
        fresh = self._observed_time is not None and self.clock() - self._observed_time < REREAD_ALL_AFTER
        earlier = self._observation if fresh else None
        if earlier is None:
            self._observed_time = self.clock()
        self._observation = await self.world.observe(document, earlier=earlier)
        return self._observation

    def _progress(self) -> Progress:
        failures: Mapping[str, Failure] = {
            key: attempts.failure for key, attempts in self._attempts.items() if attempts.failure is not None
        }
        return Progress(in_flight=frozenset(self._tasks), failures=failures)

    def _start(self, document: WorkspaceRuntime, action: Action) -> None:
        self.on_action(action, None)
        task = asyncio.create_task(self.world.perform(document, action), name=action.key)
        self._tasks[action.key] = (action, task)

    def _cancel_superseded(self, document: WorkspaceRuntime) -> None:
        """End work towards a version that nobody wants any more; publications and replacements finish."""
        for action, task in self._tasks.values():
            superseded = (
                isinstance(action, Adopt | Package | Cascade | Probe)
                and action.version != document.spec.version
            )
            if superseded:
                task.cancel()

    async def _wait(self, look_again: datetime) -> None:
        """Sleep until an action ends, something wakes us, or it is time to look again."""
        tasks = [task for _, task in self._tasks.values()]
        timeout = max(0.0, (look_again - self.clock()).total_seconds())
        if tasks:
            # Our own work makes most of the events that wake us: while it runs they may wait a moment.
            await asyncio.wait(
                tasks, timeout=min(timeout, OWN_NOISE_SECONDS), return_when=asyncio.FIRST_COMPLETED
            )
        if not any(task.done() for task in tasks):
            woken = asyncio.create_task(self.wake.wait())
            await asyncio.wait([woken, *tasks], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
        ended = [(key, action, task) for key, (action, task) in self._tasks.items() if task.done()]
        for key, action, task in ended:
            del self._tasks[key]
            self._settle(action, task)
        # A replacement changes its target and nothing else; after any other action the whole world is read again.
        if any(not isinstance(action, Replace) for _, action, _ in ended):
            self._observation = None

    def _settle(self, action: Action, task: asyncio.Task[str]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._attempts.pop(action.key, None)
            self.on_action(action, task.result())
            return
        if not isinstance(error, Exception):
            raise error
        attempts = self._attempts.setdefault(action.key, _Attempts())
        attempts.count += 1
        attempts.failure = self._failure(action, error, attempts.count)
        self.on_action(action, error)

    def _failure(self, action: Action, error: Exception, count: int) -> Failure:
        if isinstance(error, Terminal):
            return Failure(error.reason, _one_line(f"{error.message} {error.fix}"), None)
        delay = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (count - 1))
        if isinstance(error, Transient | Waiting) and error.retry_after is not None:
            delay = error.retry_after
        text = str(error) if isinstance(error, Problem) else f"Unexpected {type(error).__name__}: {error}"
        message = _one_line(f"{text.rstrip('.')}; trying again.")
        return Failure(stage_of(action), message, self.clock() + timedelta(seconds=delay))

    async def _end_tasks(self) -> None:
        """Cancel what is under way and wait until it has cleaned up: every action can be found and finished later."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (
        lines[0]
        if len(lines) == 1
        else f"{lines[0]} (and {len(lines) - 1} more lines)"
        if lines
        else "no message"
    )
