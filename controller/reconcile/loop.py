"""The loop: observe, classify, decide, write progress, act, until nothing is left to do.

It knows neither files nor Kubernetes: an `ObjectStore` supplies the document and keeps the status, a `World` reads
and changes what is outside. Nothing important lives here; a loop that dies is replaced by another one that reads
the world again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, Probe, Prune, Replace, RollBack
from controller.model.errors import Terminal
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.plan.decide import decide
from controller.plan.state import Held, Released, State, UpToDate, classify, outstanding_of
from controller.reconcile.attempts import Attempts, back_off
from controller.reconcile.protocols import ObjectStore, StoredObject, World
from controller.reconcile.result import Done, NotYet, Pass, Result, Stalled
from controller.status.scope import Scope
from controller.status.summarize import summarize

OWN_NOISE_SECONDS: Final = 1.0
REREAD_ALL_AFTER: Final = timedelta(seconds=5)
MANY_UNDER_WAY: Final = 16
"""With more, one end is little news and a pass is much work."""
PAID_BACK: Final = 10.0
"""How long ends are taken together then, in times of what the last pass took."""
LONGEST_TOGETHER_SECONDS: Final = 5.0


@dataclass(slots=True)
class Reconciler:
    """Drives one object.

    `on_pass` is told of every pass, `on_action` of an action's start (None), its end (a line) or its failure
    (a Problem), `on_trouble` of a pass that `run_forever` could not finish: a document that became invalid, a status
    that cannot be written, a bug. `anew` is called when what is asked seldom is to be asked now: somebody says that it has
    changed, or asks for something else. Of what a plan allows, only what `may` lets is done.
    """

    store: ObjectStore
    world: World
    wake: asyncio.Event
    on_pass: Callable[[Pass], None] = lambda _: None
    on_action: Callable[[Action, str | Exception | None], None] = lambda _action, _outcome: None
    on_trouble: Callable[[Exception], None] = lambda _: None
    anew: Callable[[], None] = lambda: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    may: Callable[[Action], bool] = lambda _: True
    _tasks: dict[str, tuple[Action, asyncio.Task[str]]] = field(default_factory=dict)
    _attempts: Attempts = field(default_factory=Attempts)
    _asked: tuple[int, *tuple[str | None, ...]] = (-1,)
    _resumed_time: datetime | None = None
    _observation: Observation | None = None
    _observed_time: datetime | None = None
    _replaced: list[Replace] = field(default_factory=list)
    _probed: bool = False
    _settled: frozenset[str] = frozenset()
    _pass_seconds: float = 0.0
    _state: type[State] | None = None
    _alone_since: datetime | None = None
    """Since when nothing but somebody else's move is left."""
    _told: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried: frozenset[str] = frozenset()
    """The templates whose targets are not to wait for work in progress."""

    def look_anew(self) -> None:
        """Wake up and read everything, however recently it was read: somebody says that it has changed."""
        self._told.set()
        self.wake.set()

    @contextlib.contextmanager
    def hurrying(self, templates: Collection[str]) -> Iterator[None]:
        """While the block runs, replace targets of `templates` without waiting for work in progress.

        What waits for such work is begun anew, and what failed is tried again.
        """
        self._hurried = frozenset(templates)
        self._attempts.forget()
        _cut_off([task for action, task in self._tasks.values() if self._hurries(action)])
        try:
            yield
        finally:
            self._hurried = frozenset()

    def _hurries(self, action: Action) -> bool:
        return isinstance(action, Replace) and action.template in self._hurried

    async def run_once(
        self, *, milestone: Callable[[Status], bool] = lambda _: False, patient: bool = False
    ) -> Result:
        """Reconcile until nothing is left to do, `milestone` holds, or somebody else must act; `patient` waits for them.

        Raises:
            Terminal: the document is not valid, or the status cannot be written.
        """
        try:
            while True:
                turn = await self._look()
                if milestone(turn.status):
                    return Done(turn.status)
                result = self._outcome(turn) or (None if patient else self._waited_for(turn))
                if result is not None:
                    return result
                self._act(turn)
                await self._wait(turn.plan.look_again)
        finally:
            await self._end_tasks()

    def _outcome(self, turn: Pass) -> Result | None:
        """Return how it ended when nothing is left to do, or somebody must change something."""
        stalled = turn.status.condition("Stalled")
        if stalled is not None:
            return Stalled(stalled.reason, stalled.message, turn.status)
        if self._tasks:  # with work of an earlier version under way, the status would be half the truth
            return None
        more = any(isinstance(action, Prune | RollBack) for action in turn.plan.actions)
        if isinstance(turn.state, UpToDate) and not more and turn.state.outstanding.unread is None:
            return Done(turn.status)
        if isinstance(turn.state, Held) and turn.state.by_owner:
            return Stalled(turn.state.reason, turn.state.message, turn.status)
        return None

    def _waited_for(self, turn: Pass) -> Result | None:
        """Return how it ended when only somebody else can bring it on and was waited for as long as makes sense."""
        patience, ready = turn.plan.patience, turn.status.condition("Ready")
        if patience is None or ready is None:
            self._alone_since = None
            return None
        self._alone_since = self._alone_since or self.clock()
        if self.clock() - self._alone_since < patience:
            return None
        for_good = [failure for _, failure in turn.plan.failed if failure.retry_time is None]
        outstanding = outstanding_of(turn.state)
        refused = outstanding.unread is not None and outstanding.unread.stalled is not None
        ended = Stalled if for_good or outstanding.contests or refused else NotYet
        return ended(ready.reason, ready.message, turn.status)

    async def run_forever(self) -> None:
        """Reconcile until cancelled; work that must not be cut is finished by the next pass of whoever comes next.

        A pass that fails is told and tried again, while actions under way go on: a slip in the document, or a full
        disk, must not leave replacements half-done. Only the first pass may fail for good.

        Raises:
            Terminal: the document is not valid, or the status cannot be written, at the start.
        """
        failures = 0
        passed = False
        try:
            while True:
                try:
                    turn = await self._look()
                    self._act(turn)
                except Exception as error:
                    if not passed and isinstance(error, Terminal):
                        raise
                    failures += 1
                    self.on_trouble(error)
                    look_again = self.clock() + back_off(failures)
                else:
                    passed, failures, look_again = True, 0, turn.plan.look_again
                await self._wait(look_again)
        finally:
            await self._end_tasks()

    async def _look(self) -> Pass:
        """Observe, decide, and write what is true and what comes next."""
        began = self.clock()
        self.wake.clear()
        if self._told.is_set():
            self._told.clear()
            self._observation, self._settled = None, frozenset()
            self.anew()
        stored = await self.store.read()
        metadata = stored.document.metadata
        asked = (stored.generation, metadata.requested_at, metadata.resume, metadata.rollback_to)
        if asked != self._asked:
            self._asked = asked
            self._attempts.forget()
            self._observation, self._settled = None, frozenset()
            self.anew()
        state, observation = await self._read(stored)
        self._take_back(stored.document.spec.version, observation)
        progress = Progress(frozenset(self._tasks), self._attempts.failures, self.world.waits())
        now = self.clock()
        plan = decide(
            stored.document,
            state,
            progress,
            now,
            targets=observation.targets,
            records=observation.records,
            rollout=stored.status.rollout,
            may=self.may,
        )
        starting = frozenset(action.key for action in plan.actions)
        announced = replace(progress, in_flight=progress.in_flight | starting)
        scope = Scope(stored.document, stored.generation, observation, state, plan, announced)
        status = summarize(scope, stored.status, now)
        if status != stored.status:
            await self.store.write(status)
        seconds = self._pass_seconds = (self.clock() - began).total_seconds()
        turn = Pass(stored.document, state, plan, status, tuple(observation.unknown), seconds)
        self.on_pass(turn)
        return turn

    def _take_back(self, version: str, observation: Observation) -> None:
        """Let what failed be tried anew when somebody resumed the version since the last pass."""
        records = observation.records
        record = records.value.get(version) if isinstance(records, Known) else None
        if record is not None and record.resumed_time != self._resumed_time:
            self._resumed_time = record.resumed_time
            self._attempts.forget()

    def _act(self, turn: Pass) -> None:
        """Start what the plan allows, and cut off what nobody wants any more."""
        _cut_off([task for key, (_, task) in self._tasks.items() if key in turn.plan.superseded])
        for action in turn.plan.actions:
            self.on_action(action, None)
            document = _not_waiting(turn.document) if self._hurries(action) else turn.document
            task = asyncio.create_task(self.world.perform(document, action), name=action.key)
            self._tasks[action.key] = (action, task)

    async def _read(self, stored: StoredObject) -> tuple[State, Observation]:
        """Read what may have changed; what leads to another state than before follows from a reading of all."""
        document, history = stored.document, stored.status.history
        observation = await self._observe_again(document)
        if observation is None or type(state := classify(document, observation, history)) is not self._state:
            self._observed_time = self.clock()
            observation = await self.world.observe(document, earlier=None, settled=self._settled)
            state = classify(document, observation, history)
        self._replaced.clear()
        self._probed = False
        self._observation, self._state = observation, type(state)
        fleet = state.fleet if isinstance(state, Released | Held) else None
        self._settled = frozenset(target.id for target in fleet.up_to_date) if fleet else frozenset()
        return state, observation

    async def _observe_again(self, document: WorkspaceRuntime) -> Observation | None:
        """Read what our own actions changed, while the rest was read moments ago; None where that is not enough."""
        earlier, self._observation = self._observation, None
        if (
            earlier is None
            or self._observed_time is None
            or self.clock() - self._observed_time >= REREAD_ALL_AFTER
        ):
            return None
        observation = await self.world.observe(
            document, earlier=earlier, record=self._probed, settled=self._settled
        )
        return observation if _took_place(self._replaced, observation) else None

    async def _wait(self, look_again: datetime) -> None:
        """Sleep until an action ends, something wakes us, or it is time to look again."""
        tasks = [task for _, task in self._tasks.values()]
        if len(tasks) > MANY_UNDER_WAY:
            together = min(PAID_BACK * self._pass_seconds, LONGEST_TOGETHER_SECONDS)
            await _first(self._told, (), seconds=min(self._left(look_again), together))
        if tasks:
            # Our own work makes most of the events that wake us: while it runs they may wait a moment.
            await _first(self._told, tasks, seconds=min(self._left(look_again), OWN_NOISE_SECONDS))
        if not any(task.done() for task in tasks):
            await _first(self.wake, tasks, seconds=self._left(look_again))
        ended = [(key, action, task) for key, (action, task) in self._tasks.items() if task.done()]
        for key, action, task in ended:
            del self._tasks[key]
            succeeded = self._settle(action, task)
            # A replacement that took place changed its target and nothing else, and a probe the record; a replacement
            # that did not may have left a verdict, and any other action may have changed anything.
            if isinstance(action, Replace):
                self._replaced.append(action)
            elif isinstance(action, Probe) and succeeded:
                self._probed = True
            else:
                self._observation = None

    def _left(self, until: datetime) -> float:
        return max(0.0, (until - self.clock()).total_seconds())

    def _settle(self, action: Action, task: asyncio.Task[str]) -> bool:
        """Take note of how an action ended; return whether it did what it is for."""
        if task.cancelled() and task.cancelling():
            why = (
                "it goes on without waiting for work" if self._hurries(action) else "nobody wants it any more"
            )
            self.on_action(action, f"cut off: {why}")
            return False
        error = RuntimeError("it was cancelled from inside") if task.cancelled() else task.exception()
        if error is None:
            self._attempts.succeeded(action, self.clock())
            self.on_action(action, task.result())
            return True
        if not isinstance(error, Exception):
            raise error
        self._attempts.failed(action, error, self.clock())
        self.on_action(action, error)
        return False

    async def _end_tasks(self) -> None:
        """Cancel what is under way and wait until it has cleaned up: every action can be found and finished later."""
        tasks = [task for _, task in self._tasks.values()]
        _cut_off(tasks)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()


async def _first(event: asyncio.Event, tasks: Iterable[asyncio.Task[str]], *, seconds: float) -> None:
    """Wait until `event` is set, a task ends or `seconds` are over."""
    waiter = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([waiter, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


def _cut_off(tasks: Iterable[asyncio.Task[str]]) -> None:
    """Cancel each once: a second time would cut off its cleaning up."""
    for task in tasks:
        if not task.cancelling():
            task.cancel()


def _not_waiting(document: WorkspaceRuntime) -> WorkspaceRuntime:
    """Return the document as it would be if work in progress could be cut at once."""
    drain = document.spec.rollout.drain.model_copy(update={"timeout_seconds": 0, "on_timeout": "Proceed"})
    rollout = document.spec.rollout.model_copy(update={"drain": drain})
    spec = document.spec.model_copy(update={"rollout": rollout})
    return document.model_copy(update={"spec": spec})


def _took_place(actions: Iterable[Replace], observation: Observation) -> bool:
    """Whether the targets show the images that they were to be brought to, or that what was begun is over."""
    targets = observation.targets.value if isinstance(observation.targets, Known) else ()
    seen = {target.id: target for target in targets}
    return all(
        (target := seen.get(action.target)) is not None
        and (not target.in_transition if action.image_id is None else target.image_id == action.image_id)
        for action in actions
    )
