"""A version that failed goes on when the object's annotation asks for it: once for each value, and no other version with it."""

import asyncio
from collections.abc import Callable

import pytest

from controller.model.actions import Action, Resume
from controller.model.errors import Transient
from controller.model.record import Verdict
from tests.unit.reconcile.ground import Scene, drive, scene
from tests.unit.simulator.virtual_time import now, run


def fail(made: Scene, version: str = "0.1.0") -> Callable[[], None]:
    """Whoever judges a version Failed, here or elsewhere, while the loop runs."""

    def do() -> None:
        machine = made.world.machine
        verdict = Verdict(value="Failed", reason="RolloutFailed", message="It is failed.", time=now())
        machine.records[version] = machine.records[version].judged(verdict)
        made.wake.set()

    return do


def ask(made: Scene, value: str | None) -> Callable[[], None]:
    def do() -> None:
        made.store.annotate(resume=value)
        made.wake.set()

    return do


def resumed(made: Scene) -> int:
    return len(made.world.times("Resume", "ends"))


def test_a_failed_verdict_is_lifted_once_for_each_value_of_the_annotation_and_repeated_in_the_status() -> (
    None
):
    made = scene()

    def still_held() -> None:
        assert resumed(made) == 1
        assert made.world.machine.records["0.1.0"].failed
        assert made.store.status.last_handled_resume == "0.1.0"

    events = (
        (300, fail(made)),
        (310, ask(made, "0.1.0")),
        (400, fail(made)),
        (410, made.wake.set),
        (500, still_held),
        (510, ask(made, "0.1.0 again")),
    )
    run(drive(made, *events, until=600))
    assert resumed(made) == 2
    assert made.store.status.is_true("Ready")
    assert made.store.status.last_handled_resume == "0.1.0 again"


def test_an_object_that_is_made_anew_with_its_annotation_lifts_nothing() -> None:
    made = scene()
    run(drive(made, (300, fail(made)), (310, ask(made, "0.1.0 x")), (400, fail(made)), until=500))
    again = scene()
    again.store.annotate(resume="0.1.0 x")
    again.world.machine.records.update(made.world.machine.records)
    run(drive(again, until=100))
    assert resumed(again) == 0
    assert again.store.status.condition("Stalled") is not None


def test_the_word_for_another_version_frees_none() -> None:
    made = scene()
    run(drive(made, (300, fail(made)), (310, ask(made, "0.1.1")), until=400))
    assert resumed(made) == 0
    assert made.world.machine.records["0.1.0"].failed
    assert made.store.status.last_handled_resume is None


@pytest.mark.parametrize("stop", ["suspend", "hold"])
def test_what_its_owner_stopped_is_not_resumed_before_they_let_it_go(stop: str) -> None:
    made = scene()

    def hold() -> None:
        if stop == "suspend":
            made.edit(suspend=True)
        made.store.annotate(hold="an audit" if stop == "hold" else None)

    def release() -> None:
        made.store.annotate(hold=None)
        made.edit(suspend=False)

    def still_held() -> None:
        assert resumed(made) == 0

    events = ((310, hold), (320, ask(made, "0.1.0")), (400, still_held), (410, release))
    run(drive(made, (300, fail(made)), *events, until=500))
    assert resumed(made) == 1


def test_nothing_is_rolled_back_before_the_request_is_taken_up_or_cannot_be() -> None:
    async def slow(action: Action) -> None:
        if isinstance(action, Resume):
            await asyncio.sleep(5)
            raise Transient("The registry is away")

    made = scene(before=slow)

    def both() -> None:
        assert made.store.status.is_true("Ready")
        fail(made, "0.1.1")()
        ask(made, "0.1.1")()

    run(drive(made, (300, lambda: made.edit(version="0.1.1")), (600, both), until=900))
    back = [time for time in made.world.times("Replace", "begins") if time >= 600]
    assert made.world.times("Resume", "begins")[0] == pytest.approx(600, abs=1)
    assert min(back) == pytest.approx(605, abs=2)
    assert made.world.machine.records["0.1.1"].failed
