"""What only somebody else can settle is told in every state: beside work under way, and first once that is done."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.record import Dispatched
from controller.plan.decide import decide
from controller.plan.state import classify
from controller.status.invariants import broken
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.unit.simulator.nouns import AWAY, target, template_record
from tests.unit.simulator.shared import ECHO, FOLLOW, IMAGE, STRANGE, TELL, asked, released, seen
from tests.unit.simulator.virtual_time import NOON

MOVED = {f"{ECHO}:latest": STRANGE}
OLD, NEW, HELD = (target("ws-1", "0.1.0"), target("ws-1", "0.1.1"), target("ws-3", "0.1.0", hold="mine"))
THEIRS = target("ws-2", "0.1.0", template="greeter")
CONTEST = (
    f"{ECHO}:latest was moved by somebody else: it stands for {STRANGE}, which is no image of this object."
    " It is left alone; `wsr resume` moves it to 0.1.1."
)
SILENCE = (
    "Template greeter: team/greeter was told of 0.1.1 (correlation id abc) and delivered no image within 600 s."
    " Look at its workflow runs; `wsr resume` tells it once more."
)
AWAITED = "Version 0.1.1 is awaited from whoever builds: greeter."
TOLD = {"greeter": Dispatched(correlation_id="abc", sent_time=NOON - timedelta(hours=9))}


def status(wanted: WorkspaceRuntime, world: Observation) -> Status:
    state = classify(wanted, world)
    plan = decide(wanted, state, Progress(), NOON, targets=world.targets)
    starting = Progress(frozenset(action.key for action in plan.actions))
    made = summarize(Scope(wanted, 3, world, state, plan, starting), Status(), NOON)
    assert not broken(made), broken(made)
    return made


def told(made: Status, type_: str) -> tuple[str, str] | None:
    condition = made.condition(type_)
    return (condition.reason, condition.message) if condition else None


def test_a_tag_that_was_moved_is_told_while_targets_roll() -> None:
    made = status(asked(**FOLLOW), seen(released(), images=MOVED, targets=Known((OLD,))))
    assert told(made, "Ready") == ("Rolling", f"0 of 1 targets run 0.1.1. {CONTEST}")
    assert told(made, "RolledOut") == ("Rolling", "0 of 1 targets run 0.1.1.")
    assert told(made, "Stalled") is None


def test_who_does_not_deliver_is_told_by_its_template_alone_while_targets_of_others_roll() -> None:
    made = status(asked(**TELL), seen(released(dispatches=TOLD), targets=Known((OLD,))))
    assert told(made, "Ready") == ("Rolling", "0 of 1 targets run 0.1.1.")
    assert told(made, "Stalled") is None
    assert made.templates[1].message == SILENCE


def test_a_tag_that_was_moved_is_told_before_what_is_awaited_and_stalls_nothing_that_may_come() -> None:
    made = status(asked(**FOLLOW), seen(released(), images=MOVED, targets=Known((NEW,))))
    assert told(made, "Ready") == ("TagMoved", f"{CONTEST} {AWAITED}")
    assert told(made, "Reconciling") == told(made, "Ready")
    assert told(made, "Stalled") is None


def test_what_was_never_delivered_and_a_tag_that_was_moved_are_both_told_and_stall() -> None:
    world = seen(released(dispatches=TOLD), images=MOVED, targets=Known((NEW, THEIRS, HELD)))
    made = status(asked(**TELL), world)
    assert told(made, "Ready") == ("DispatchSilent", f"{SILENCE} (and 1 more)")
    assert told(made, "Stalled") == told(made, "Ready")
    assert told(made, "RolledOut") == (
        "AwaitingDelivery",
        (
            "1 of 3 targets run 0.1.1; left alone as asked: docker/local/ws-3 (held: mine);"
            " 1 not, template greeter: its image of 0.1.1 is awaited."
        ),
    )


@pytest.mark.parametrize("targets", [(OLD,), (NEW,), (NEW, HELD)], ids=["rolling", "through", "one held"])
@pytest.mark.parametrize("build", [FOLLOW, TELL], ids=["Follow", "Dispatch"])
def test_each_template_tells_the_tag_of_its_own_that_was_moved(
    build: dict[str, Any], targets: tuple[Any, ...]
) -> None:
    made = status(asked(**build), seen(released(), images=MOVED, targets=Known(targets)))
    echo, greeter = made.templates
    assert (echo.state, echo.reason, echo.message) == ("Proven", "TagMoved", CONTEST)
    assert greeter.state == "Awaited"
    assert greeter.message is not None
    assert STRANGE not in greeter.message


def test_several_tags_that_were_moved_are_counted() -> None:
    theirs = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-00000000", tags=("latest",))
    through = released(templates={**released().templates, "greeter": theirs})
    wanted = asked(directory="greeter")
    made = status(wanted, seen(through, images={**MOVED, f"{IMAGE}:latest": STRANGE}, targets=Known((NEW,))))
    assert told(made, "Ready") == ("TagMoved", f"{CONTEST} (1 more: {IMAGE}:latest)")
    assert told(made, "Stalled") == told(made, "Ready")
    assert [entry.verdict for entry in made.history] == ["Good"], "whoever has the tags"


def test_a_version_that_is_judged_while_an_image_is_awaited_is_good_in_the_history() -> None:
    made = status(asked(**FOLLOW), seen(released(), targets=Known((NEW,))))
    assert [(entry.version, entry.verdict) for entry in made.history] == [("0.1.1", "Good")]


def test_why_it_cannot_be_known_what_was_delivered_is_told() -> None:
    made = status(asked(**FOLLOW), seen(released(), found=None, targets=Known((NEW,))))
    assert made.templates[1].message == (
        "No image of 0.1.1 has been delivered. What is served cannot be read: it is away"
    )


@pytest.mark.parametrize("targets", [(), (THEIRS,)], ids=["no target", "a target of the other"])
def test_what_cannot_be_read_is_told_beside_what_is_awaited(targets: tuple[Any, ...]) -> None:
    world = replace(seen(released(), targets=Known(targets)), unread={f"{ECHO}:latest": AWAY})
    made = status(asked(**FOLLOW), world)
    unread = f"The images cannot be read: {ECHO}:latest: it is away"
    assert told(made, "Ready") == ("AwaitingDelivery", f"{AWAITED} {unread}")
    assert told(made, "Stalled") is None


def test_a_tag_that_was_moved_is_told_while_the_version_is_judged() -> None:
    made = status(asked(**FOLLOW), seen(released(verdict=None), images=MOVED, targets=Known((NEW,))))
    text = "Version 0.1.1 runs everywhere and is being promoted."
    assert told(made, "Ready") == ("Promoting", f"{text} {CONTEST}")


def test_a_template_says_nothing_of_a_tag_of_another_one() -> None:
    theirs = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-00000000", tags=("latest",))
    through = released(templates={**released().templates, "greeter": theirs})
    images = {**MOVED, f"{IMAGE}:latest": theirs.identity}
    echo, greeter = status(asked(directory="greeter"), seen(through, images=images)).templates
    assert (echo.reason, echo.message) == ("TagMoved", CONTEST)
    assert (greeter.state, greeter.reason, greeter.message) == ("Proven", theirs.reason, None)
