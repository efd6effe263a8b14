"""The real loop on the simulated machine: with delays, mishaps, outages, edits and crashes where a test wants them."""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, Adopt, Judge, Package, Probe, Promote, Publish, Replace, Tag
from controller.model.errors import Transient
from controller.model.observation import Observation
from controller.model.observed import Unknown
from controller.plan.state import State, classify
from controller.reconcile.loop import Reconciler
from controller.reconcile.protocols import StoredObject
from controller.reconcile.result import NotYet, Pass, Result
from controller.status.invariants import broken
from tests.unit.simulator.holdings import Steps
from tests.unit.simulator.machine import Machine
from tests.unit.simulator.virtual_time import now, seconds


class Crash(BaseException):
    """The process is gone: no exception handler of it may help."""


class _Ended(Exception):  # noqa: N818 -- not an error: an action came to its end
    """The line that an action ended with."""


@dataclass
class MemoryStore:
    """An `ObjectStore` that checks every status it is given."""

    document: WorkspaceRuntime
    machine: Machine
    generation: int = 1
    status: Status = field(default_factory=Status)
    written: list[Status] = field(default_factory=list)

    async def read(self) -> StoredObject:
        return StoredObject(self.document, self.generation, self.status)

    async def write(self, status: Status) -> None:
        assert not broken(status), broken(status)
        assert status != self.status, "wrote what was there already"
        if status.is_true("Ready"):
            assert list(self.machine.differences(self.document, held_too=True)) == []
        self.status = status
        self.written.append(status)

    def edit(self, **spec: Any) -> None:  # noqa: ANN401 -- any field of the spec
        before = self.document.model_dump(mode="json")
        self.document = WorkspaceRuntime.model_validate({**before, "spec": {**before["spec"], **spec}})
        self.generation += 1

    def annotate(self, **annotations: str | None) -> None:
        """Set or remove annotations of ours; the generation counts the spec only."""
        kept = dict(self.document.metadata.annotations)
        for name, value in annotations.items():
            key = f"runtime.molecule.ai/{name.replace('_', '-')}"
            kept.pop(key, None)
            if value is not None:
                kept[key] = value
        before = self.document.model_dump(mode="json")
        before["metadata"]["annotations"] = kept
        self.document = WorkspaceRuntime.model_validate(before)
        for box in self.machine.boxes.values():
            box.held_on_object = box.name in self.document.metadata.held_targets

    def lose(self) -> None:
        """Forget everything but the document: the state folder was deleted."""
        self.generation, self.status = 1, Status()


@dataclass
class SimulatedWorld:
    """The `World` that performs the machine's steps in virtual time; `disorder` seeds delays and mishaps."""

    machine: Machine
    crashes_at: frozenset[int] = frozenset()
    """Which steps, counted over all lives, the process dies at."""
    disorder: random.Random | None = None
    mishaps_left: int = 0
    """Errors still to come, each at a random step."""
    steps: int = 0
    dead: bool = False
    performed: list[Action] = field(default_factory=list)
    last_seen: Observation | None = None

    async def observe(
        self,
        document: WorkspaceRuntime,
        *,
        earlier: Observation | None,
        record: bool = False,
        settled: Collection[str] = (),
    ) -> Observation:
        del settled
        now = self.machine.observe(document)
        if earlier is None:
            self.last_seen = now
        else:
            self.last_seen = replace(
                earlier, targets=now.targets, records=now.records if record else earlier.records
            )
        return self.last_seen

    def waits(self) -> Mapping[str, str]:
        return self.machine.waits

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        self.performed.append(action)
        steps = self.machine.perform(document, action)
        try:
            while True:
                delay = self._step(action, steps)
                await asyncio.sleep(delay * (self.disorder.choice((0, 1, 1, 5)) if self.disorder else 1))
        except _Ended as end:
            return str(end)
        finally:
            steps.close()

    def _step(self, action: Action, steps: Steps) -> float:
        """Take one step; what goes wrong does so when its effect is there and nobody knows of it yet."""
        delay, end = 0.0, None
        try:
            delay = next(steps)
        except StopIteration as stop:
            end = _Ended(stop.value)
        self.steps += 1
        if self.dead or self.steps in self.crashes_at:
            self.dead = True
            raise Crash
        if self.disorder and self.mishaps_left and self.disorder.random() < 0.15:
            self.mishaps_left -= 1
            kind = self.disorder.choice((Transient, RuntimeError))
            raise kind(f"{type(action).__name__} met with a mishap")
        if end is not None:
            raise end
        return delay


@dataclass
class Event:
    """Something that happens to the machine or the document at a time, in seconds."""

    at: float
    what: str
    do: Callable[[], None]


@dataclass
class Life:
    """An object and its machine through crashes and events, until everything has happened and nothing is left to do."""

    store: MemoryStore
    world: SimulatedWorld
    events: Sequence[Event] = ()
    on_pass: Callable[[Pass], None] = lambda _: None
    on_action: Callable[[Action, str | Exception | None], None] = lambda _action, _outcome: None
    on_event: Callable[[str], None] = lambda _: None
    lose_state: bool = False
    """Whether a crash takes the state folder with it."""
    approves_after: float | None = None
    """How many seconds after it was asked for a person approves what waits for that; None: nobody does."""
    patient: bool = True
    """Whether it is waited for what only somebody else can bring on."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: str | None = None

    async def live(self) -> Result:
        happening = asyncio.create_task(self._happen())
        await asyncio.sleep(0)  # what happens at once has happened
        while True:
            try:
                result = await self._reconciler().run_once(patient=self.patient)
            except Crash:
                self.world.dead = False
                self.on_event("the process is killed and started again")
                if self.lose_state:
                    self.store.lose()
                continue
            if happening.done() and not self._will_be_approved(result):
                await happening
                return result
            self._wake.clear()
            await self._wake.wait()

    def _will_be_approved(self, result: Result) -> bool:
        awaits = isinstance(result, NotYet) and result.reason == "AwaitingApproval"
        return awaits and self.approves_after is not None

    async def watch(self, duration: float) -> None:
        """Go on watching for `duration` seconds after all is done."""
        try:
            async with asyncio.timeout(duration):
                await self._reconciler().run_forever()
        except TimeoutError:
            pass

    def last_state(self) -> State:
        """The state in which the world was seen last."""
        assert self.world.last_seen is not None
        return classify(self.store.document, self.world.last_seen, self.store.status.history)

    def _reconciler(self) -> Reconciler:
        return Reconciler(
            self.store, self.world, self._wake, on_pass=self._checked, on_action=self.on_action, clock=now
        )

    def _checked(self, turn: Pass) -> None:
        self._nothing_rests_on_the_unknown(turn)
        self.on_pass(turn)
        wanted = turn.status.awaiting_approval
        if wanted is not None and wanted != self._asked and self.approves_after is not None:
            asyncio.get_running_loop().call_later(self.approves_after, self._approve, wanted)
        self._asked = wanted

    def _approve(self, wanted: str) -> None:
        if self.store.status.awaiting_approval != wanted:
            return
        document, machine = self.store.document, self.world.machine
        self.on_event("a person approves it")
        machine.starts.agree(document, machine.records[document.spec.version])
        self.store.annotate(approve=wanted)
        self._wake.set()

    def _nothing_rests_on_the_unknown(self, turn: Pass) -> None:
        read = self.world.last_seen
        assert read is not None
        for action in turn.plan.actions:
            if isinstance(action, Replace) and action.image_id is None:
                continue  # ending what was begun needs nothing but the engine
            assert not isinstance(read.records, Unknown), f"{action} without knowing the records"
            if isinstance(action, Package | Adopt):
                assert not isinstance(read.index, Unknown), f"{action} without knowing the index"
            elif isinstance(action, Replace | Judge):
                assert not isinstance(read.targets, Unknown), f"{action} without knowing the targets"
            if isinstance(action, Promote):
                assert not isinstance(read.images, Unknown), f"{action} without knowing the tags"
            if read.unread and turn.plan.actions:
                refused = {reference.rpartition("/")[2].rpartition(":")[0] for reference in read.unread}
                assert not isinstance(action, Publish | Judge), f"{action} without knowing all images"
                if isinstance(action, Replace) and action.image_id is not None:
                    assert action.template not in refused, f"{action} without knowing its image"
                elif isinstance(action, Probe | Promote | Tag):
                    about = {action.template} if isinstance(action, Probe) else set(action.templates)
                    assert not about & refused, f"{action} without knowing its image"

    async def _happen(self) -> None:
        for event in sorted(self.events, key=lambda event: event.at):
            await asyncio.sleep(max(0.0, event.at - seconds()))
            self.on_event(event.what)
            event.do()
            self._wake.set()
