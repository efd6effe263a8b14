"""How a run of one object's loop ends: at a milestone, done, or with what only somebody else can do."""

import asyncio
from datetime import timedelta

import pytest

from controller.model.actions import Action, Prune, Replace
from controller.model.errors import Terminal
from controller.reconcile.result import Done, NotYet, Result, Stalled
from tests.unit.reconcile.ground import Scene, failing, once, scene
from tests.unit.simulator.nouns import record, template_record, verdict
from tests.unit.simulator.virtual_time import NOON, run

PRUNED = {"mode": "Engine", "artifacts": "records", "prune": {"candidatesOlderThanDays": 14}}


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


def with_old_candidate(made: Scene) -> Scene:
    """Give the machine a version that failed long ago and that nobody wants."""
    image = template_record("0.0.9", "echo", image="ws/echo:candidate-0", full_build=None)
    image = image.model_copy(update={"built_time": NOON - timedelta(days=20)})
    record_ = record("0.0.9", templates={"echo": image}, published_time=None, verdict=verdict("Failed"))
    made.world.machine.records["0.0.9"] = record_
    return made


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
