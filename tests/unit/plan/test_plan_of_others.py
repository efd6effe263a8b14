"""What a plan says of templates that somebody else builds."""

from typing import Any

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import Dispatched, HeldBack
from controller.plan.preview import Preview, preview
from controller.plan.state import classify
from tests.unit.simulator.nouns import target, template_record
from tests.unit.simulator.shared import FOLLOW, IMAGE, NEW, STRANGE, TELL, UNPUBLISHED, asked, released, seen
from tests.unit.simulator.virtual_time import NOON


def told(wanted: WorkspaceRuntime, world: Observation) -> Preview:
    return preview(wanted, world, classify(wanted, world), (), now=NOON)


@pytest.mark.parametrize(
    ("build", "then"),
    [
        (TELL, "team/greeter is told once 0.1.1 is public, and builds the image."),
        ({"strategy": "Follow"}, "whoever builds the image is waited for once 0.1.1 is public."),
    ],
)
def test_a_plan_says_who_builds_the_image_of_others(build: dict[str, Any], then: str) -> None:
    entry = told(asked(**build), seen(released(**UNPUBLISHED))).templates[1]
    assert (entry.strategy, entry.build, entry.reason) == (build["strategy"], False, "AwaitingDelivery")
    assert entry.note == f"the gate tries 0.1.1 on {IMAGE}:latest; then {then}"
    public = told(asked(**build), seen(released())).templates[1]
    assert (public.build, public.reason, public.note) == (False, "AwaitingDelivery", then)
    there = released(templates={**released().templates, "greeter": template_record("0.1.1", "greeter")})
    entry = told(asked(**build), seen(there)).templates[1]
    assert (entry.build, entry.reason, entry.note) == (False, "UpToDate", None)


def test_a_plan_says_that_whoever_builds_was_told() -> None:
    sent = Dispatched(correlation_id="abc", sent_time=NOON)
    entry = told(asked(), seen(released(dispatches={"greeter": sent}))).templates[1]
    assert entry.note == "team/greeter was told of 0.1.1 and builds the image (correlation id abc)."


def test_a_plan_does_not_say_held_back_of_a_template_whose_earlier_image_is_in_use() -> None:
    image = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-0", image_id=NEW)
    note = HeldBack(reason="GateFailed", message="It ended.", refused=(STRANGE,), time=NOON)
    refused = released(held_back={"greeter": note})
    for record, reason in ((refused, "HeldBack"), (refused.with_template("greeter", image), "UpToDate")):
        entry = told(asked("AllowFailure", **FOLLOW), seen(record)).templates[1]
        assert entry.reason == reason


def test_a_plan_of_a_version_that_nothing_can_try_publishes_nothing() -> None:
    plan = told(asked(), seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""}))
    message = (
        f"Template greeter: no image is served as {IMAGE}:latest yet to try 0.1.1 on."
        " Push a first one, or set the template's gate to AllowUntested."
    )
    assert (plan.publish, plan.blocked) == (False, message)
    assert (plan.templates[1].reason, plan.templates[1].note) == ("Untested", message)
    allowed = told(asked("AllowUntested"), seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""}))
    assert (allowed.publish, allowed.blocked) == (True, None)


def test_the_hash_of_a_plan_is_that_of_who_builds() -> None:
    world = seen(released(**UNPUBLISHED))
    elsewhere = {**TELL, "dispatch": {"repository": "team/other"}}
    plans = [told(asked(**build), world) for build in (TELL, elsewhere, {"strategy": "Follow"})]
    assert len({plan.hash for plan in plans}) == 3
    assert told(asked(), world).hash == plans[0].hash


def test_targets_of_an_image_that_is_awaited_would_follow_it() -> None:
    world = seen(released(**UNPUBLISHED), targets=Known((target("ws-1", "0.1.0", template="greeter"),)))
    assert told(asked(), world).targets == ("docker/local/ws-1",)
