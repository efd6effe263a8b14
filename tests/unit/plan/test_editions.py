"""Several images of one version, one after the other: which is in use, which one failed, and which a verdict speaks for."""

from dataclasses import replace
from datetime import timedelta

from controller.api.status import Status
from controller.model.actions import Judge, Probe, Replace
from controller.model.observed import Known, Unknown
from controller.model.plan import Progress
from controller.model.probe import ProbePassed
from controller.plan.outcome import came_after, held_back_in_fleet, rolled_image, with_failed, with_passed
from controller.plan.state import classify, image_for_new
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.unit.plan.test_outstanding import LATE, MINUTE, NEW, delivered_late, of, planned
from tests.unit.simulator.nouns import target, verdict
from tests.unit.simulator.shared import FOLLOW, IMAGE, STRANGE, asked, released, seen
from tests.unit.simulator.virtual_time import NOON

SECOND = LATE.model_copy(
    update={"image": f"{IMAGE}:0.1.1-nogit-2", "image_id": STRANGE, "built_time": NOON + 3 * MINUTE}
)


def test_when_a_second_image_fails_in_the_fleet_the_one_that_was_delivered_before_stays_in_use() -> None:
    """Targets go back to it, new workspaces get it, and nobody has to deliver another one."""
    twice = delivered_late(verdict=verdict("Good", 2)).delivered("greeter", SECOND)
    assert twice.in_use.templates["greeter"].identity == STRANGE
    template = asked(**FOLLOW).spec.templates[1]
    note = held_back_in_fleet(twice, template, twice.templates["greeter"], "It ended.", now=NOON + 4 * MINUTE)
    held = twice.holding_back("greeter", note)
    assert held.in_use.templates["greeter"].identity == LATE.identity
    runs = target("ws-2", "0.1.1", template="greeter", image_id=LATE.identity)
    behind = target("ws-3", "0.1.0", template="greeter")
    there = {LATE.image: LATE.identity, SECOND.image: STRANGE, f"{IMAGE}:latest": STRANGE}
    world = seen(held, targets=Known((NEW, runs, behind)), images=there)
    (replacement,) = planned(asked(**FOLLOW), world).actions
    assert isinstance(replacement, Replace)
    assert (replacement.target, replacement.image_id) == ("docker/local/ws-3", LATE.image_id)
    assert image_for_new({"0.1.1": held}, "0.1.1", "greeter") == LATE.image
    state = classify(asked(**FOLLOW), world)
    scope = Scope(asked(**FOLLOW), 1, world, state, planned(asked(**FOLLOW), world), Progress())
    greeter = summarize(scope, Status(), NOON).templates[1]
    assert (greeter.state, greeter.reason) == ("Proven", "RolloutFailed")
    assert greeter.message == "It ended. Another image must be delivered; `wsr resume` tries this one again."


def test_an_earlier_image_that_fails_too_is_refused_beside_the_later_one() -> None:
    twice = delivered_late().delivered("greeter", SECOND)
    template = asked(**FOLLOW).spec.templates[1]
    for image in (twice.templates["greeter"], LATE):
        assert rolled_image(twice, "greeter", image.image_id or "") == image
        note = held_back_in_fleet(twice, template, image, "It ended.", now=NOON + 4 * MINUTE)
        twice = twice.holding_back("greeter", note)
    assert set(twice.held_back["greeter"].refused) == {LATE.identity, STRANGE}
    assert "greeter" not in twice.in_use.templates


def test_a_target_that_failed_with_an_image_that_another_one_followed_says_nothing_of_that_one() -> None:
    twice = delivered_late().delivered("greeter", SECOND)
    assert rolled_image(twice, "greeter", LATE.image_id or "") is None
    assert rolled_image(twice, "greeter", SECOND.image_id or "") == twice.templates["greeter"]
    assert rolled_image(twice, "nobody", STRANGE) is None


def test_a_verdict_speaks_for_the_images_that_it_names_whosever_clock_said_when() -> None:
    runs = target("ws-2", "0.1.1", template="greeter")
    world = seen(delivered_late(verdict=None), targets=Known((NEW, runs)))
    (judge,) = planned(asked(**FOLLOW), world).actions
    assert isinstance(judge, Judge)
    echo = released().templates["echo"].identity
    assert set(judge.images) == {echo, LATE.identity}
    named = verdict("Good", 0).model_copy(update={"images": judge.images})
    alone = verdict("Good", 9).model_copy(update={"images": (echo,)})
    assert not came_after(LATE, named), "it was delivered a minute later by its own clock"
    assert came_after(LATE, alone), "the verdict was on its way while it was delivered"
    world = seen(delivered_late(verdict=alone), targets=Known((NEW, runs)))
    assert of(planned(asked(**FOLLOW), world)) == ["Judge"]


def test_where_only_a_person_can_have_what_was_delivered_read_it_is_not_waited_for() -> None:
    refused = Unknown("It wants a password. Give one.", NOON, stalled="CredentialsMissing")
    world = replace(seen(released(), targets=Known((NEW,))), deliveries={"greeter": refused})
    plan = planned(asked(**FOLLOW), world)
    ((_, failure),) = plan.failed
    assert (failure.reason, failure.retry_time) == ("CredentialsMissing", None)
    assert failure.message == (
        "Template greeter: what is served of it cannot be read: It wants a password. Give one."
    )
    assert plan.patience == timedelta(0)


def test_what_became_of_an_image_says_nothing_of_the_one_that_took_its_place_while_it_was_probed() -> None:
    template = asked(**FOLLOW).spec.templates[0]
    now_there = released(verdict=None).templates["echo"].model_copy(update={"proven": False})
    record = released(verdict=None).with_template("echo", now_there)
    probe = Probe("0.1.1", "echo", STRANGE, "it was not proven")
    passed = ProbePassed("echo", boot_seconds=1.0, turn_seconds=(0.1, 0.1), memory_bytes=1)
    assert with_passed(record, template, probe, passed, delivered=None) == record
    assert with_failed(record, template, probe, "It ended.", None, now=NOON) == record
    mine = replace(probe, digest=now_there.identity)
    assert with_passed(record, template, mine, passed, delivered=None).templates["echo"].proven
    assert with_failed(record, template, mine, "It ended.", None, now=NOON).failed


def test_the_very_image_that_was_there_before_keeps_what_is_known_of_it() -> None:
    known = LATE.model_copy(update={"tags": ("latest",), "boot_seconds": 1.5})
    again = LATE.model_copy(update={"image": f"{IMAGE}:candidate-1", "proven": False})
    for earlier in (known, SECOND.model_copy(update={"proven": False}).following(known)):
        after = again.following(earlier)
        assert (after.proven, after.tags, after.boot_seconds) == (True, ("latest",), 1.5)
