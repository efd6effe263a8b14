"""The next step of a replacement, played on a model of the engine with crashes between any two steps."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.container import ContainerState
from controller.model.create_spec import NEVER, CreateRecord, RestartPolicy, Succeeds
from controller.model.replacement import Cause, WantedImage
from controller.plan.replacement import End, Failure, Progress, Step, next_step
from controller.plan.replacement_facts import Facts, Member
from controller.plan.setback import failure_seen

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "ws-a"
ALWAYS = RestartPolicy("unless-stopped")
WANTED = WantedImage("t:2", "sha256:2", "2", "c2", "t")
STATES = [ContainerState.RUNNING, ContainerState.EXITED, ContainerState.PAUSED, ContainerState.CREATED]


@dataclass
class World:
    """What an engine would hold of one unit, and whether the new image works."""

    old: Member | None
    new: Member | None = None
    record: CreateRecord | None = None
    works: str = "yes"
    connected: bool = False
    ever_both_running: bool = False

    def facts(self) -> Facts:
        if self.old is None:
            return Facts(NAME, self.new)
        if self.new is None:
            return Facts(NAME, self.old)
        return Facts(NAME, self.old, self.new, self.record, to_connect=() if self.connected else ("green",))

    def do(self, step: Step, progress: Progress) -> None:
        """The effect of a step, as the engine would show it afterwards."""
        if step is Step.CREATE:
            self._create()
        elif step in _ON_OLD:
            assert self.old is not None
            assert step is not Step.STOP_OLD or progress.drained
            self.old = replace(self.old, **self._changes(_ON_OLD[step]))
        elif step in _ON_NEW:
            assert self.new is not None
            self.new = replace(self.new, **self._changes(_ON_NEW[step]))
        elif step is Step.CONNECT:
            self.connected = True
        elif step is Step.START_NEW:
            assert self.connected
            self._start(progress)
        elif step is Step.AWAIT_PROOF:
            self._prove(progress)
        elif step is Step.REMOVE_OLD:
            assert self.new is not None
            assert self.new.state.has_process
            self.old = None
            progress.finished = True
        elif step is Step.UNDO_REMOVE_NEW:
            self.new = None
        self._drain(step, progress)
        progress.resumed |= step is Step.UNDO_RESUME_OLD
        progress.old_restarted |= step is Step.UNDO_START_OLD
        names = [one.name for one in (self.old, self.new) if one is not None]
        assert len(set(names)) == len(names), "the engine would refuse the name"
        if self.old and self.new and self.old.state.has_process and self.new.state.has_process:
            self.ever_both_running = True

    def _drain(self, step: Step, progress: Progress) -> None:
        if step is Step.DRAIN and self.old is not None:
            progress.drained, progress.drained_start = True, self.old.started_at

    def _changes(self, changes: dict[str, Any]) -> dict[str, Any]:
        assert self.record is not None
        return {
            key: self.record.restart_policy if value == "recorded" else value
            for key, value in changes.items()
        }

    def _create(self) -> None:
        assert self.old is not None
        succeeds = Succeeds(self.old.state, WANTED.image_id, WANTED.version, WANTED.content_sha256)
        self.record = CreateRecord("t", self.old.policy, succeeds=succeeds)
        self.new = Member("new", f"wsr-next-{NAME}", ContainerState.CREATED, WANTED.image_id, NEVER)
        self.connected = False

    def _start(self, progress: Progress) -> None:
        assert self.new is not None
        if self.works == "not startable":
            progress.refused_starts += 1
            self.new = replace(self.new, error="exec: no such file", exit_code=127)
        elif self.works == "exits":
            self.new = replace(self.new, state=ContainerState.EXITED, started_at=NOW, exit_code=3)
        else:
            self.new = replace(self.new, state=ContainerState.RUNNING, started_at=NOW)

    def _prove(self, progress: Progress) -> None:
        progress.asked_for_proof = True
        assert self.new is not None
        if self.works in {"yes", "stranger"}:
            progress.proven_start = self.new.started_at
        if self.works == "stranger":  # it ended, and another container with its address answered
            self.new = replace(self.new, state=ContainerState.EXITED, exit_code=1)
        if self.works == "wrong":
            progress.failure = Failure(Cause.WRONG_VERSION, "reports 9")


_ON_OLD: dict[Step, dict[str, Any]] = {
    Step.UNPAUSE_OLD: {"state": ContainerState.RUNNING},
    Step.DRAIN: {},
    Step.DISARM_OLD: {"policy": NEVER},
    Step.STOP_OLD: {"state": ContainerState.EXITED},
    Step.RENAME_OLD: {"name": f"wsr-prev-{NAME}"},
    Step.UNDO_RENAME_OLD: {"name": NAME},
    Step.UNDO_START_OLD: {"state": ContainerState.RUNNING},
    Step.UNDO_RESUME_OLD: {},
    Step.UNDO_PAUSE_OLD: {"state": ContainerState.PAUSED},
    Step.UNDO_RESTORE_POLICY: {"policy": "recorded"},
}
_ON_NEW: dict[Step, dict[str, Any]] = {
    Step.RENAME_NEW: {"name": NAME},
    Step.RESTORE_POLICY: {"policy": "recorded"},
    Step.PAUSE_NEW: {"state": ContainerState.PAUSED},
    Step.UNDO_DISARM_NEW: {"policy": NEVER},
    Step.UNDO_STOP_NEW: {"state": ContainerState.EXITED},
    Step.UNDO_RENAME_NEW: {"name": f"wsr-next-{NAME}"},
}


def a_container(state: ContainerState, policy: RestartPolicy = ALWAYS) -> Member:
    started = None if state is ContainerState.CREATED else NOW - timedelta(days=1)
    return Member("old", NAME, state, "sha256:1", policy, started_at=started)


def play(
    world: World,
    *,
    crashes: list[int] | None = None,
    wanted: WantedImage | None = WANTED,
    progress: Progress | None = None,
) -> tuple[End, list[Step], Progress]:
    """Take steps to the end, losing all memory after the steps counted in `crashes`."""
    crashes, progress = list(crashes or ()), progress or Progress()
    taken: list[Step] = []
    left = crashes.pop(0) if crashes else -1
    for _ in range(200):
        facts = world.facts()
        if progress.failure is None:
            late = timedelta(minutes=9) if progress.asked_for_proof else timedelta(0)
            progress.failure = failure_seen(facts, wanted, progress, now=NOW + late, deadline_seconds=60)
        step = next_step(facts, wanted, progress)
        if isinstance(step, End):
            return step, taken, progress
        taken.append(step)
        world.do(step, progress)
        left -= 1
        if left == 0:
            progress, left = Progress(), crashes.pop(0) if crashes else -1
    pytest.fail(f"no end after {taken}")


def test_the_order_is_the_architectures() -> None:
    end, steps, _ = play(World(a_container(ContainerState.RUNNING)))
    assert end is End.FINISHED
    assert steps == [
        Step.CREATE,
        Step.CONNECT,
        Step.DRAIN,
        Step.DISARM_OLD,
        Step.STOP_OLD,
        Step.RENAME_OLD,
        Step.RENAME_NEW,
        Step.START_NEW,
        Step.RESTORE_POLICY,
        Step.AWAIT_PROOF,
        Step.REMOVE_OLD,
    ]


def test_undoing_removes_the_record_last() -> None:
    end, steps, progress = play(World(a_container(ContainerState.RUNNING), works="wrong"))
    assert end is End.UNDONE
    assert progress.failure is not None
    assert steps[-7:] == [
        Step.UNDO_DISARM_NEW,
        Step.UNDO_STOP_NEW,
        Step.UNDO_RENAME_NEW,
        Step.UNDO_RENAME_OLD,
        Step.UNDO_START_OLD,
        Step.UNDO_RESTORE_POLICY,
        Step.UNDO_REMOVE_NEW,
    ]


def test_a_stopped_container_gets_its_successor_without_a_start_and_is_kept() -> None:
    world = World(a_container(ContainerState.EXITED))
    end, steps, _ = play(world)
    assert end is End.AWAITING_FIRST_START
    assert Step.START_NEW not in steps
    assert world.old is not None
    assert world.new is not None
    assert (world.old.name, world.new.name) == (f"wsr-prev-{NAME}", NAME)
    assert (world.old.policy, world.new.policy) == (NEVER, ALWAYS)
    assert play(world)[1] == []


def test_the_first_start_of_a_stopped_ones_successor_is_proven_before_the_old_one_goes() -> None:
    world = World(a_container(ContainerState.EXITED))
    play(world)
    assert world.new is not None
    world.new = replace(world.new, state=ContainerState.RUNNING, started_at=NOW)
    assert play(world)[1] == [Step.AWAIT_PROOF, Step.REMOVE_OLD]


def test_a_stopped_one_whose_successor_fails_its_first_start_runs_the_old_image() -> None:
    world = World(a_container(ContainerState.EXITED), works="exits")
    play(world)
    assert world.new is not None
    world.new = replace(world.new, state=ContainerState.EXITED, started_at=NOW, exit_code=3)
    assert play(world)[0] is End.UNDONE
    facts = world.facts()
    assert facts.new is None
    assert facts.old is not None
    assert (facts.old.name, facts.old.state, facts.old.policy) == (NAME, ContainerState.RUNNING, ALWAYS)


def test_an_answer_from_an_address_that_has_passed_on_proves_nothing() -> None:
    world = World(a_container(ContainerState.RUNNING), works="stranger")
    end, _, progress = play(world)
    assert end is End.UNDONE
    assert progress.failure is not None
    assert progress.failure.cause is Cause.EXITED


def test_another_wanted_image_undoes_a_successor_that_never_ran() -> None:
    world = World(a_container(ContainerState.RUNNING))
    world.do(Step.CREATE, Progress())
    end, _, progress = play(world, wanted=replace(WANTED, image_id="sha256:3"))
    assert end is End.UNDONE
    assert progress.failure is not None
    assert progress.failure.cause is Cause.SUPERSEDED


def test_a_successor_that_runs_is_finished_even_when_another_image_is_wanted() -> None:
    world = World(a_container(ContainerState.RUNNING))
    assert world.old is not None
    progress = Progress(drained=True, drained_start=world.old.started_at)
    for step in (
        Step.CREATE,
        Step.CONNECT,
        Step.DISARM_OLD,
        Step.STOP_OLD,
        Step.RENAME_OLD,
        Step.RENAME_NEW,
        Step.START_NEW,
    ):
        world.do(step, progress)
    end, steps, _ = play(world, wanted=None)
    assert end is End.FINISHED
    assert steps == [Step.RESTORE_POLICY, Step.AWAIT_PROOF, Step.REMOVE_OLD]


def test_one_that_started_again_since_it_drained_is_asked_again() -> None:
    world, progress = World(a_container(ContainerState.RUNNING)), Progress()
    for step in (Step.CREATE, Step.CONNECT, Step.DRAIN):
        world.do(step, progress)
    assert next_step(world.facts(), WANTED, progress) is Step.DISARM_OLD
    assert world.old is not None
    world.old = replace(world.old, started_at=NOW)
    assert next_step(world.facts(), WANTED, progress) is Step.DRAIN


def test_one_stopped_by_somebody_is_not_started_by_its_replacement() -> None:
    world = World(a_container(ContainerState.RUNNING))
    world.do(Step.CREATE, Progress())
    assert world.old is not None
    world.old = replace(world.old, state=ContainerState.EXITED)
    end, steps, progress = play(world)
    assert end is End.UNDONE
    assert progress.failure is not None
    assert progress.failure.cause is Cause.STOPPED_MEANWHILE
    assert steps == [Step.UNDO_REMOVE_NEW]
    assert world.old.state is ContainerState.EXITED


def test_one_that_crashed_while_its_policy_was_being_changed_was_not_stopped_by_its_owner() -> None:
    for works, end in (("yes", End.FINISHED), ("wrong", End.UNDONE)):
        world = World(a_container(ContainerState.RUNNING), works=works)
        world.do(Step.CREATE, Progress())
        assert world.old is not None
        world.old = replace(world.old, state=ContainerState.EXITED)
        ended, steps, _ = play(world, progress=Progress(drained=True, disarmed=True))
        assert (ended, steps[1]) == (end, Step.DISARM_OLD)
        up = world.facts().old
        assert up is not None
        assert (up.state, up.policy) == (ContainerState.RUNNING, ALWAYS)


def test_nothing_is_done_where_a_foreign_container_has_the_name() -> None:
    facts = Facts(NAME, a_container(ContainerState.EXITED), foreign_id="f")
    assert next_step(facts, WANTED, Progress()) is End.NAME_TAKEN


def test_a_holder_with_the_wanted_image_is_left_alone() -> None:
    assert next_step(
        Facts(NAME, replace(a_container(ContainerState.RUNNING), image_id="sha256:2")), WANTED, Progress()
    ) is (End.UNCHANGED)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("OCI runtime create failed: exec: no such file or directory", Cause.NOT_STARTED),
        (
            "driver failed programming external connectivity: Bind for 0.0.0.0:80: port is already allocated",
            Cause.HOST,
        ),
        ("Cannot link to a non running container: /db", Cause.HOST),
        ("transport is closing: unavailable", Cause.HOST),
        ("failed to create task for container: context canceled", Cause.HOST),
    ],
)
def test_a_start_that_the_engine_refuses_blames_the_image_only_for_its_own_faults(
    error: str, cause: Cause
) -> None:
    world = World(a_container(ContainerState.RUNNING))
    world.do(Step.CREATE, Progress())
    assert world.new is not None
    world.new = replace(world.new, error=error, exit_code=128)
    failure = failure_seen(world.facts(), WANTED, Progress(), now=NOW, deadline_seconds=60)
    assert failure is not None
    assert failure.cause is cause
    assert error in failure.message


def test_a_refused_start_is_believed_when_an_engine_that_is_up_refuses_it_twice() -> None:
    world = World(a_container(ContainerState.RUNNING), works="not startable")
    progress = Progress()
    while (step := next_step(world.facts(), WANTED, progress)) is not Step.START_NEW:
        assert isinstance(step, Step)
        world.do(step, progress)
    said = "failed to update store for object type *libnetwork.endpoint: open : no such file or directory"
    assert world.new is not None
    world.new = replace(world.new, error=said, exit_code=127)  # the last words of an engine that shut down

    def seen() -> Failure | None:
        return failure_seen(world.facts(), WANTED, progress, now=NOW, deadline_seconds=60)

    for _ in range(2):
        assert seen() is None
        assert next_step(world.facts(), WANTED, progress) is Step.START_NEW
        world.do(Step.START_NEW, progress)
    failure = seen()
    assert failure is not None
    assert failure.cause is Cause.NOT_STARTED


@pytest.mark.parametrize("code", [0, 137, 143])
def test_a_successor_that_somebody_ended_is_started_again_once(code: int) -> None:
    ended = Member("new", NAME, ContainerState.EXITED, "sha256:2", ALWAYS, started_at=NOW, exit_code=code)
    old = replace(a_container(ContainerState.EXITED, NEVER), name=f"wsr-prev-{NAME}")
    record = CreateRecord("t", ALWAYS, succeeds=Succeeds(ContainerState.RUNNING, "sha256:2", "2", "c2"))

    def direction(new: Member, progress: Progress, was: CreateRecord = record) -> Step | End | Cause:
        facts = Facts(NAME, old, new, was)
        failure = failure_seen(facts, WANTED, progress, now=NOW, deadline_seconds=60)
        return failure.cause if failure else next_step(facts, WANTED, progress)

    assert direction(ended, Progress()) is Step.START_NEW
    assert direction(ended, Progress(proven_start=NOW)) is Step.START_NEW
    assert direction(ended, Progress(started_again=True)) is Cause.EXITED
    assert direction(replace(ended, oom_killed=True), Progress()) is Cause.EXITED
    assert direction(replace(ended, exit_code=1), Progress()) is Cause.EXITED
    stopped = CreateRecord("t", ALWAYS, succeeds=Succeeds(ContainerState.EXITED, "sha256:2", "2", "c2"))
    assert direction(ended, Progress(), stopped) is Cause.EXITED


def test_the_start_deadline_runs_from_the_new_process_start_and_gives_one_question_at_least() -> None:
    started = Member("new", NAME, ContainerState.RUNNING, "sha256:2", ALWAYS, started_at=NOW)
    record = CreateRecord("t", ALWAYS, succeeds=Succeeds(ContainerState.RUNNING, "sha256:2", "2", "c2"))
    old = replace(a_container(ContainerState.EXITED, NEVER), name=f"wsr-prev-{NAME}")
    facts = Facts(NAME, old, started, record)

    def seen(seconds: int, *, asked: bool) -> Failure | None:
        return failure_seen(
            facts,
            WANTED,
            Progress(asked_for_proof=asked),
            now=NOW + timedelta(seconds=seconds),
            deadline_seconds=60,
        )

    assert seen(59, asked=True) is None
    assert seen(61, asked=False) is None
    late = seen(61, asked=True)
    assert late is not None
    assert late.cause is Cause.NEVER_READY


@given(
    state=st.sampled_from(STATES),
    policy=st.sampled_from([ALWAYS, NEVER, RestartPolicy("on-failure", 3)]),
    works=st.sampled_from(["yes", "exits", "wrong", "never", "not startable", "stranger"]),
    crashes=st.lists(st.integers(1, 12), max_size=4),
)
def test_whatever_crashes_the_old_one_stays_until_the_new_one_works(
    state: ContainerState, policy: RestartPolicy, works: str, crashes: list[int]
) -> None:
    before = a_container(state, policy)
    world = World(before, works=works)
    end, _, _ = play(world, crashes=crashes)
    assert not world.ever_both_running
    if not state.has_process:
        assert end is End.AWAITING_FIRST_START
        assert world.old is not None
    elif works == "yes":
        assert end in {End.FINISHED, End.UNCHANGED}
        assert world.old is None
        assert world.new is not None
        assert (world.new.name, world.new.state, world.new.policy) == (NAME, state, policy)
    else:
        assert world.new is None
        assert world.old is not None
        now = world.old
        assert (now.name, now.state, now.policy) == (before.name, before.state, before.policy)
