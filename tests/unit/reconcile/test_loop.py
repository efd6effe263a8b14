"""One object's loop: what it retries, what it waits for, what it cuts off, and how it ends."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, Cascade, Judge, Package, Probe, Prune, Publish, Replace, Tag
from controller.model.errors import Terminal, Transient, Waiting
from controller.model.observation import Observation
from controller.plan.state import Unproven
from controller.reconcile.loop import REREAD_ALL_AFTER, Reconciler
from controller.reconcile.result import Done, NotYet, Pass, Result, Stalled
from tests.unit.simulator.ground import Life, life
from tests.unit.simulator.life import MemoryStore, SimulatedWorld
from tests.unit.simulator.machine import sha
from tests.unit.simulator.nouns import record, template_record, verdict
from tests.unit.simulator.virtual_time import NOON, now, run, seconds

Do = Callable[[Action], Coroutine[Any, Any, None]]


@dataclass
class Watched(SimulatedWorld):
    """The simulated world with something before each action, and a diary of what began and ended when."""

    before: Do | None = None
    diary: list[tuple[float, str, str]] = field(default_factory=list)
    full_reads: list[float] = field(default_factory=list)

    async def observe(
        self, document: WorkspaceRuntime, *, earlier: Observation | None, record: bool = False
    ) -> Observation:
        if earlier is None:
            self.full_reads.append(seconds())
        return await super().observe(document, earlier=earlier, record=record)

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


def test_a_failing_action_is_retried_with_growing_pauses() -> None:
    async def main() -> None:
        made = scene(before=failing(Package, *[Transient("The engine is away.")] * 4))
        assert isinstance(await once(made), Done)
        assert made.world.times("Package", "begins") == [0, 1, 3, 7, 15]

    run(main())


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("x"), TimeoutError(), OSError(5, "I/O")])
def test_an_error_of_no_known_kind_is_retried_too(error: Exception) -> None:
    async def main() -> None:
        made = scene(before=failing(Package, error, error))
        assert isinstance(await once(made), Done)
        assert made.world.times("Package", "begins") == [0, 1, 3]
        reasons = [status.condition("Ready") for status in made.store.written]
        assert any(each is not None and "Unexpected" in each.message for each in reasons)

    run(main())


def test_an_action_that_cancels_itself_counts_as_failed_and_does_not_spin() -> None:
    async def main() -> None:
        cancelled = 0

        async def before(action: Action) -> None:
            nonlocal cancelled
            if isinstance(action, Package) and cancelled < 3:
                cancelled += 1
                raise asyncio.CancelledError

        made = scene(before=before)
        assert isinstance(await once(made), Done)
        assert made.world.times("Package", "begins") == pytest.approx([0, 1.25, 3.5, 7.75])

    run(main())


def test_a_wait_that_an_action_asks_for_is_kept() -> None:
    async def main() -> None:
        made = scene(1, before=failing(Replace, Waiting("ws-1", retry_after=30)))
        assert isinstance(await once(made), Done)
        first, second = made.world.times("Replace", "begins")
        assert second - first == 30

    run(main())


def test_what_somebody_must_change_first_stalls_and_is_not_tried_again() -> None:
    async def main() -> None:
        made = scene(
            before=failing(Package, Terminal("BuildFailed", "It does not parse.", fix="Correct it."))
        )
        result = await once(made)
        assert isinstance(result, Stalled)
        assert (result.reason, result.message) == ("BuildFailed", "It does not parse. Correct it.")
        assert isinstance(await once(made), Stalled)
        assert len(made.world.times("Package", "begins")) == 1

    run(main())


def test_a_changed_document_gives_it_another_chance() -> None:
    async def main() -> None:
        made = scene(before=failing(Package, Terminal("BuildFailed", "No.", fix="Correct it.")))
        await once(made)
        made.edit(rollout={"maxUnavailable": 1})
        assert isinstance(await once(made), Done)

    run(main())


def test_a_resumed_version_gives_what_failed_another_chance_while_the_loop_runs() -> None:
    made = scene(before=failing(Publish, *(Terminal("PublishRefused", "No.", fix="x") for _ in range(2))))

    def resume() -> None:
        records = made.world.machine.records
        records["0.1.0"] = records["0.1.0"].resumed(now())

    run(drive(made, (300, lambda: None), (310, resume), until=600))
    assert len(made.world.times("Publish", "fails")) == 2
    assert made.world.times("Publish", "fails")[1] > 310


def test_a_request_to_look_anew_gives_what_failed_another_chance_and_is_echoed() -> None:
    made = scene(before=failing(Publish, *(Terminal("PublishRefused", "No.", fix="x") for _ in range(2))))

    def request() -> None:
        made.store.annotate(requested_at="noon")
        made.loop.wake.set()

    run(drive(made, (300, request), until=600))
    assert len(made.world.times("Publish", "fails")) == 2
    assert made.world.times("Publish", "fails")[1] == pytest.approx(300, abs=1)
    assert made.store.status.last_handled_reconcile_at == "noon"


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


def test_work_towards_a_version_that_nobody_wants_any_more_is_cut_off_and_cleans_up() -> None:
    async def main() -> None:
        made = scene()
        await drive(made, (6.0, lambda: made.edit(version="0.1.1")), until=6.9)
        assert made.world.times("Cascade", "is cut off") == [pytest.approx(6.75, abs=1)]
        assert ("Cascade", "cut off: nobody wants it any more") in made.told
        assert made.world.machine.under_construction == set()

    run(main())


def test_cleaning_up_is_not_cut_off_a_second_time() -> None:
    async def main() -> None:
        cleaned = False

        async def before(action: Action) -> None:
            nonlocal cleaned
            if isinstance(action, Package) and action.version == "0.1.0":
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    await asyncio.sleep(5)
                    cleaned = True
                    raise

        made = scene(before=before)
        wakes = [(float(time), made.wake.set) for time in range(3, 8)]
        await drive(made, (2.0, lambda: made.edit(version="0.1.1")), *wakes)
        assert cleaned
        assert made.store.status.is_true("Ready")

    run(main())


def test_publications_and_replacements_towards_it_are_finished() -> None:
    async def main() -> None:
        made = scene(4)
        await drive(
            made,
            (16.0, lambda: made.edit(version="0.1.1")),
            (200.0, lambda: made.edit(version="0.1.2")),
            (222.0, lambda: made.edit(version="0.1.3")),
        )
        assert not made.world.times("Publish", "is cut off")
        assert not made.world.times("Tag", "is cut off")
        assert not made.world.times("Replace", "is cut off")
        assert {"0.1.0", "0.1.2", "0.1.3"} <= made.world.machine.index.keys()
        assert made.store.status.is_true("Ready")

    run(main())


def edit_source(made: Scene) -> None:
    made.world.machine.tree = sha("edited")
    made.wake.set()


def test_changed_input_gives_it_another_chance_without_a_changed_document() -> None:
    async def main() -> None:
        made = scene(before=failing(Package, Terminal("BuildFailed", "No.", fix="Correct it.")))
        await drive(made, (30.0, lambda: edit_source(made)))
        assert made.world.times("Package", "begins") == [0, 30]
        assert made.store.status.is_true("Ready")

    run(main())


def test_an_edited_source_cuts_off_what_is_built_from_the_old_one() -> None:
    async def main() -> None:
        async def before(action: Action) -> None:
            if isinstance(action, Cascade) and not made.world.times("Cascade", "is cut off"):
                await asyncio.sleep(100)

        made = scene(before=before)
        await drive(made, (30.0, lambda: edit_source(made)))
        assert made.world.times("Cascade", "is cut off") == [30.25]
        assert made.world.times("Package", "begins") == [0, 30.25]
        assert made.world.machine.records["0.1.0"].tree_sha256 == sha("edited")
        assert made.store.status.is_true("Ready")

    run(main())


def test_something_that_happens_is_looked_at_at_once_and_not_at_the_next_timer() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        done = seconds()
        await drive(made, (done + 7.0, lambda: made.edit(version="0.1.1")), until=done + 9)
        assert made.world.times("Package", "begins")[-1] == done + 7

    run(main())


def test_an_idle_object_is_looked_at_now_and_then_and_never_written() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        writes, passes = len(made.store.written), len(made.passes)
        await drive(made, until=seconds() + 3600)
        assert len(made.store.written) == writes
        assert 50 < len(made.passes) - passes < 70

    run(main())


def test_while_only_targets_change_only_targets_are_read() -> None:
    async def main() -> None:
        made = scene(8)
        await once(made)
        begun = made.world.times("Replace", "begins")[0]
        proven = made.world.times("Replace", "ends")[-1]
        during = [time for time in made.world.full_reads if begun < time < proven]
        passes = len(made.world.times("Replace", "ends"))
        assert 0 < len(during) < passes
        assert all(
            later - earlier >= REREAD_ALL_AFTER.total_seconds()
            for earlier, later in itertools.pairwise(during)
        )

    run(main())


def test_after_a_probe_only_the_record_is_read_and_nothing_is_published_on_an_old_reading() -> None:
    async def main() -> None:
        made = scene(2)

        async def one_after_the_other(action: Action) -> None:
            if isinstance(action, Probe):
                later = asyncio.get_running_loop().call_later
                if len(made.world.times("Probe", "begins")) == 1:
                    later(5.5, made.wake.set)  # all is read shortly before the first one ends
                else:
                    later(7, made.world.machine.index.__setitem__, "0.9.0", sha("somebody else's"))
                    await asyncio.sleep(2)

        made.world.before = one_after_the_other
        result = await once(made)
        assert isinstance(result, Stalled)
        assert result.reason == Reason.VERSION_REFUSED
        first, second = made.world.times("Probe", "ends")
        before, *after = (
            time for time in made.world.full_reads if time > made.world.times("Probe", "begins")[0]
        )
        assert (before < first, after) == (True, [second])
        left = [turn.state.templates for turn in made.passes if isinstance(turn.state, Unproven)]
        assert [len(templates) for templates in left] == [2, 2, 1]
        assert not made.world.times("Publish", "begins")

    run(main())


def test_after_a_replacement_that_did_not_take_place_the_records_are_read_before_the_next_begins() -> None:
    async def main() -> None:
        async def late(action: Action) -> None:
            # The others end, and all is read, a moment before this one fails: within the time that readings are kept.
            if isinstance(action, Replace) and action.target.endswith("ws-2"):
                await asyncio.sleep(3)

        made = scene(8)
        await once(made)
        made.world.before = late
        made.world.machine.bad_in_fleet = {("0.1.1", "ws-2")}
        made.edit(version="0.1.1")
        result = await once(made)
        assert isinstance(result, Stalled)
        moved = [action for action in made.world.performed if isinstance(action, Replace)]
        begun = [action.target[-4:] for action in moved if action.version == "0.1.1"]
        assert begun == ["ws-1", "ws-2", "ws-3"], "the failed version was begun once more"

    run(main())


def test_a_milestone_ends_before_the_next_stage_begins() -> None:
    async def main() -> None:
        made = scene()
        result = await made.loop.run_once(milestone=lambda status: status.is_true("ImagesBuilt"))
        assert isinstance(result, Done)
        begun = {kind for kind, outcome in made.told if outcome is None}
        assert begun == {"Package", "Cascade", "Probe"}
        assert made.world.machine.index == {}

    run(main())


def test_a_suspended_object_ends_a_single_run_with_its_reason() -> None:
    async def main() -> None:
        made = scene(suspend=True)
        result = await once(made)
        assert isinstance(result, Stalled)
        assert result.reason == "Suspended"
        assert made.world.performed == []

    run(main())


def test_a_held_object_ends_a_single_run_with_its_reason_and_finishes_what_is_under_way() -> None:
    async def main() -> None:
        made = scene()

        async def before(action: Action) -> None:
            if isinstance(action, Replace):
                made.store.annotate(hold="an audit")
                made.wake.set()

        made.world.before = before
        result = await once(made)
        assert isinstance(result, Stalled)
        assert result.reason == "Held"
        begun = made.world.times("Replace", "begins")
        assert begun, "nothing was under way"
        assert len(made.world.times("Replace", "ends")) == len(begun)
        kinds = {kind for kind, _ in made.told}
        assert not {"Promote", "Judge"} & kinds

    run(main())


@pytest.mark.parametrize(("hold", "ends"), [({"hold": "mine"}, Done), ({"shape_unsafe": "No."}, Stalled)])
def test_a_single_run_ends_where_only_targets_are_left_that_may_not_be_moved(
    hold: dict[str, str], ends: type[Result]
) -> None:
    async def main() -> None:
        made = scene()
        box = made.world.machine.boxes["docker/local/ws-1"]
        for name, value in hold.items():
            setattr(box, name, value)
        result = await once(made)
        assert isinstance(result, ends)
        assert not result.status.is_true("Ready")
        assert result.status.condition("Reconciling") is None
        assert result.status.last_known_good == "0.1.0", "the others have proven it"

    run(main())


def test_of_a_partly_failed_cascade_nothing_is_built_twice() -> None:
    async def main() -> None:
        made = scene()
        machine = made.world.machine
        machine.bad_builds.add(("0.1.0", "greeter"))
        result = await once(made)
        assert isinstance(result, Stalled)
        assert result.message == "Template greeter: pip found nothing. Correct the template."
        assert [template for _, template, _ in machine.builds] == ["echo", "greeter"]
        machine.bad_builds.clear()
        machine.inputs["greeter"] = sha("corrected")
        await asyncio.sleep(REREAD_ALL_AFTER.total_seconds())
        assert isinstance(await once(made), Done)
        assert [template for _, template, _ in machine.builds] == ["echo", "greeter", "greeter"]

    run(main())


def test_cancelling_the_loop_cancels_its_actions_and_waits_for_their_cleaning_up() -> None:
    async def main() -> None:
        made = scene()
        running = asyncio.create_task(made.loop.run_once())
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert made.world.times("Package", "is cut off") == [1.25]
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    run(main())


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


# --- passes that fail


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


INVALID = Terminal(
    "Invalid", "runtime.yaml:5: spec.version: is required and missing.", fix="Nothing was touched."
)


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


def test_news_from_outside_is_read_at_once_however_recently_the_rest_was_read() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        made.loop.on_pass = lambda _: None
        anew: list[int] = []
        made.loop.anew = lambda: anew.append(len(made.world.full_reads))
        watching = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(0.5)
        assert anew == []
        reads = len(made.world.full_reads)
        made.loop.look_anew()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1
        assert anew == [reads], "what is asked seldom is asked in this reading"
        made.wake.set()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1, "a container's event makes it read targets only"
        made.edit(suspend=True)
        await asyncio.sleep(0.1)
        assert anew == [reads, reads + 1], "so it is when something else is asked for"
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())


def test_news_from_outside_is_read_at_once_while_work_is_under_way() -> None:
    async def busy(_: Action) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        made = scene(before=busy)
        watching = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(20)
        assert made.passes[-1].status.condition("Reconciling") is not None
        reads = len(made.world.full_reads)
        made.loop.look_anew()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())


def with_old_candidate(made: Scene) -> Scene:
    """Give the machine a version that failed long ago and that nobody wants."""
    image = template_record("0.0.9", "echo", image="ws/echo:candidate-0", full_build=None)
    image = image.model_copy(update={"built_time": NOON - timedelta(days=20)})
    record_ = record("0.0.9", templates={"echo": image}, published_time=None, verdict=verdict("Failed"))
    made.world.machine.records["0.0.9"] = record_
    return made


PRUNED = {"mode": "Engine", "artifacts": "records", "prune": {"candidatesOlderThanDays": 14}}


def test_old_candidates_are_pruned_once_after_everything_else_and_before_a_single_run_ends() -> None:
    async def main() -> None:
        made = with_old_candidate(scene(registry=PRUNED))
        assert isinstance(await once(made), Done)
        assert [kind for kind, outcome in made.told if outcome is None][-2:] == ["Judge", "Prune"]
        assert made.told[-1] == ("Prune", "deleted")
        assert made.world.machine.records["0.0.9"].templates["echo"].pruned
        assert isinstance(await once(made), Done)
        assert len(made.world.times("Prune", "begins")) == 1

    run(main())


def test_a_registry_that_forbids_pruning_is_told_once_and_the_object_is_ready_all_the_same() -> None:
    async def main() -> None:
        refusal = Terminal("DeletionRefused", "Nothing was pruned.", fix="Allow it.")
        made = with_old_candidate(scene(before=failing(Prune, refusal), registry=PRUNED))
        for _ in range(2):
            result = await once(made)
            assert isinstance(result, Done)
            assert result.status.is_true("Ready")
            assert result.status.condition("Stalled") is None
        assert [outcome for kind, outcome in made.told if kind == "Prune"] == [None, refusal]

    run(main())


@pytest.mark.parametrize("source", ["records", "images", "targets"])
def test_a_run_that_only_a_person_can_help_says_so_and_goes_on_by_itself_when_helped(source: str) -> None:
    async def main() -> None:
        made = scene()
        assert isinstance(await once(made), Done)
        made.edit(version="0.1.1")
        made.world.machine.refusing.add(source)
        running = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(30)
        stalled = made.store.status.condition("Stalled")
        assert stalled is not None
        assert (stalled.reason, made.store.status.condition("Reconciling")) == ("CredentialsMissing", None)
        made.world.machine.refusing.clear()
        await asyncio.sleep(600)
        assert made.store.status.is_true("Ready")
        assert made.store.status.condition("Stalled") is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(main())


def test_a_run_once_ends_with_what_only_a_person_can_help() -> None:
    async def main() -> None:
        made = scene()
        made.world.machine.refusing.add("records")
        result = await once(made)
        assert isinstance(result, Stalled)
        assert (result.reason, result.message) == (
            "CredentialsMissing",
            "The release records cannot be read: It wants a password. Give one.",
        )

    run(main())


def test_a_source_that_somebody_has_yet_to_push_is_waited_for_and_is_no_stall() -> None:
    async def main() -> None:
        made = scene()
        assert isinstance(await once(made), Done)
        made.edit(version="0.1.1")
        made.world.machine.awaited.add("source")
        result = await once(made)
        assert isinstance(result, NotYet)
        assert (result.reason, result.message) == (
            "SourceNotFound",
            "The source cannot be read: Waiting for runtime-v0.1.1",
        )
        assert result.status.condition("Stalled") is None
        running = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(30)
        made.world.machine.awaited.clear()
        await asyncio.sleep(600)
        assert made.store.status.is_true("Ready")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(main())
