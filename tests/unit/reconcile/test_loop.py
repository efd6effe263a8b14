"""One object's loop: what it tries again, what it waits for, and what it cuts off."""

import asyncio

import pytest

from controller.model.actions import Action, Cascade, Package, Publish, Replace
from controller.model.errors import Terminal, Transient, Waiting
from controller.reconcile.loop import REREAD_ALL_AFTER
from controller.reconcile.result import Done, Stalled
from tests.unit.reconcile.ground import drive, edit_source, failing, once, scene
from tests.unit.simulator.box import sha
from tests.unit.simulator.virtual_time import now, run


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


# --- passes that fail
