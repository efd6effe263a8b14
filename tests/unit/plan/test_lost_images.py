"""An image that somebody else delivered and somebody deleted is due again, and nothing else waits for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from controller.model.actions import Dispatch, Probe, Tag
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import Dispatched, HeldBack
from controller.plan.state import Undelivered, classify
from tests.unit.simulator.nouns import target, template_record
from tests.unit.simulator.shared import (
    ECHO,
    IMAGE,
    NEW,
    SHADOW,
    TELL,
    asked,
    delivered,
    planned,
    released,
    seen,
)
from tests.unit.simulator.virtual_time import NOON


def lost(**changes: Any) -> Observation:  # noqa: ANN401 -- any field of an observation, and more `images`
    """A world where what was delivered five minutes before noon is in the registry under no name any more."""
    image = template_record(
        "0.1.1",
        "greeter",
        image=f"{IMAGE}:0.1.1-nogit-0",
        image_id=SHADOW,
        built_time=NOON - timedelta(minutes=5),
        reason="Delivered",
    )
    sent = changes.pop("sent", Dispatched(correlation_id="abc", sent_time=NOON - timedelta(hours=1)))
    through = released(
        templates={**released().templates, "greeter": image}, dispatches={"greeter": sent} if sent else {}
    )
    images = {image.image: "", **changes.pop("images", {})}
    return seen(through, images=images, **changes)


def test_whoever_built_an_image_that_was_deleted_is_told_again_and_has_its_time_again() -> None:
    plan = planned(asked(), lost())
    (dispatch,) = plan.actions
    assert isinstance(dispatch, Dispatch)
    assert dispatch.reason == "its image was deleted, and team/greeter builds it"
    assert plan.failed == ()
    told = lost(sent=Dispatched(correlation_id="abc", sent_time=NOON))
    early, late = planned(asked(), told, minutes=9.9), planned(asked(), told, minutes=10)
    assert (early.actions, early.failed, early.look_again) == ((), (), NOON + timedelta(minutes=10))
    ((action, failure),) = late.failed
    assert isinstance(action, Dispatch)
    assert failure.reason == "DispatchSilent"
    assert failure.message == (
        f"Template greeter: team/greeter was told of 0.1.1 after its image ({IMAGE}:0.1.1-nogit-0) was deleted"
        " (correlation id abc) and delivered no image within 600 s. Look at its workflow runs; `wsr resume` tells it"
        " once more."
    )


def test_an_image_that_was_deleted_and_is_only_followed_says_so_until_another_one_is_pushed() -> None:
    plan = planned(asked(strategy="Follow"), lost(sent=None))
    assert plan.actions == ()
    ((_, failure),) = plan.failed
    assert (failure.reason, failure.retry_time) == ("ImageGone", None)
    assert failure.message == (
        f"Template greeter: its image of 0.1.1, {IMAGE}:0.1.1-nogit-0@{SHADOW}, was deleted from the registry. What runs"
        " it goes on; nothing else can be brought to it. Push it again, or another one of 0.1.1."
    )
    (probe,) = planned(asked(strategy="Follow"), lost(sent=None, found=(delivered(version="0.1.1"),))).actions
    assert isinstance(probe, Probe)


def test_an_image_that_another_repository_has_too_is_gone_all_the_same() -> None:
    state = classify(asked(), lost(images={f"{ECHO}:same": SHADOW}))
    assert isinstance(state, Undelivered)
    (delivery,) = state.outstanding.deliveries
    assert (delivery.gone is not None, delivery.untagged) == (True, None)


def test_an_image_is_not_gone_while_the_registry_cannot_be_read() -> None:
    for build in ({"strategy": "Follow"}, TELL):
        plan = planned(asked(**build), lost(found=None))
        assert (plan.actions, plan.failed) == ((), ())


def test_an_image_that_is_there_without_its_tag_gets_it_again_and_nobody_is_told() -> None:
    (tag,) = planned(asked(), lost(images={f"{IMAGE}@{SHADOW}": SHADOW})).actions
    assert tag == Tag("0.1.1", ("greeter",), "this image passed and lacks its tag")


def test_targets_that_run_a_deleted_image_are_left_alone_and_no_other_one_is_brought_to_it() -> None:
    there = target("ws-2", "0.1.1", template="greeter", image_id=SHADOW)
    behind = target("ws-3", "0.1.0", template="greeter")
    state = classify(asked(), lost(targets=Known((there, behind))))
    assert isinstance(state, Undelivered)
    assert state.fleet.up_to_date == (there,)
    assert [(left.target.name, left.reason) for left in state.fleet.missed] == [("ws-3", "AwaitingDelivery")]


def test_a_deleted_image_stays_due_when_the_next_one_fails_and_may() -> None:
    note = HeldBack(
        reason="GateFailed", message="Template greeter: turn 1 failed.", refused=(NEW,), time=NOON
    )
    world = lost()
    assert isinstance(world.records, Known)
    refused = {
        version: record.holding_back("greeter", note) for version, record in world.records.value.items()
    }
    state = classify(asked("AllowFailure"), replace(world, records=Known(refused)))
    assert isinstance(state, Undelivered)


def test_what_is_told_after_a_delivery_is_dated_after_it_and_a_delivery_after_what_it_answers() -> None:
    ahead, behind = NOON + timedelta(hours=1), NOON - timedelta(hours=1)
    told = released().dispatched("greeter", Dispatched(correlation_id="a", sent_time=ahead))
    image = template_record("0.1.1", "greeter", built_time=NOON)
    answered = told.delivered("greeter", image)
    built = answered.templates["greeter"].built_time
    assert built is not None
    assert built > ahead
    again = answered.dispatched("greeter", Dispatched(correlation_id="a", sent_time=behind))
    assert again.dispatches["greeter"].sent_time > built
