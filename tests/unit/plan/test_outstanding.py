"""What only somebody else can settle (an image that does not come, a tag that was moved) is told and holds nobody up."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Dispatch, Judge, Promote, Replace
from controller.model.delivery import DeliveredImage
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Failure, Plan, Progress
from controller.model.record import Dispatched, HeldBack, ReleaseRecord
from controller.model.target import Target
from controller.plan.decide import AWAITED_RETRY, BACKSTOP, BLOCKED_RETRY, decide
from controller.plan.outcome import held_back_in_fleet, judged_time, rolled_image, with_good
from controller.plan.state import (
    Contested,
    Held,
    Stale,
    Undelivered,
    Unpromoted,
    UpToDate,
    classify,
    image_for_new,
    outstanding_of,
)
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, observation, record, target, template_record, verdict
from tests.unit.simulator.shared import BASE, ECHO, FOLLOW, IMAGE, STRANGE, TELL, asked, released, seen
from tests.unit.simulator.virtual_time import NOON

SENT = Dispatched(correlation_id="abc", sent_time=NOON)
MOVED = {f"{ECHO}:latest": STRANGE}
OLD, NEW = (target("ws-1", version) for version in ("0.1.0", "0.1.1"))
THERE = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-00000000")


def planned(
    wanted: WorkspaceRuntime, world: Observation, *, minutes: float = 0.0, progress: Progress | None = None
) -> Plan:
    now = NOON + timedelta(minutes=minutes)
    state = classify(wanted, world)
    return decide(wanted, state, progress or Progress(), now, targets=world.targets)


def of(plan: Plan) -> list[str]:
    return [type(action).__name__ for action in plan.actions]


@pytest.mark.parametrize(
    ("state", "world"),
    [
        (Stale, seen(released(), images=MOVED, targets=Known((OLD,)))),
        (Unpromoted, seen(released(verdict=None), images=MOVED, targets=Known((NEW,)))),
        (Undelivered, seen(released(), images=MOVED, targets=Known((NEW,)))),
        (
            Contested,
            seen(
                released(templates={**released().templates, "greeter": THERE}),
                images=MOVED,
                targets=Known((NEW,)),
            ),
        ),
    ],
)
def test_a_tag_that_somebody_else_moved_is_known_in_every_state_of_a_public_version(
    state: type, world: Observation
) -> None:
    found = classify(asked(**FOLLOW), world)
    assert type(found) is state
    (contest,) = outstanding_of(found).contests
    assert (contest.tag, contest.digest, contest.reason) == (f"{ECHO}:latest", STRANGE, "TagMoved")
    assert not any(isinstance(each, Promote) for each in planned(asked(**FOLLOW), world).actions)


def test_tags_of_ours_are_moved_beside_one_that_somebody_else_moved() -> None:
    other = {"name": "other", "image": "ws/other", "tags": ["stable"], "build": {"directory": "other"}}
    echo = {"name": "echo", "image": "ws/echo", "build": {"directory": "echo"}}
    wanted = document(templates=[echo, other])
    images = {name: template_record("0.1.0", name, tags=("latest",)) for name in ("echo", "other")}
    mine = record(templates=images)
    world = observation(
        mine,
        images=Known({**{each.image: each.identity for each in images.values()}, "ws/echo:latest": STRANGE}),
        templates={name: observation().templates["echo"] for name in images},
    )
    state = classify(wanted, world)
    assert isinstance(state, Unpromoted)
    assert [move.template for move in state.moves] == ["other"]
    assert [each.template for each in state.outstanding.contests] == ["echo"]


@pytest.mark.parametrize("build", [FOLLOW, TELL], ids=["Follow", "Dispatch"])
@pytest.mark.parametrize("hours", [0, 500])
def test_a_version_is_judged_by_what_was_delivered_however_long_the_rest_takes(
    build: dict[str, Any], hours: int
) -> None:
    told = {"greeter": SENT} if build is TELL else {}
    world = seen(released(verdict=None, dispatches=told), targets=Known((NEW,)))
    assert of(planned(asked(**build), world, minutes=60 * hours)) == ["Judge"]


def test_a_version_is_not_judged_before_the_fleet_has_proven_it() -> None:
    world = seen(released(verdict=None), targets=Known((OLD,)))
    assert of(planned(asked(**FOLLOW), world)) == ["Replace"]


def test_a_version_is_not_judged_while_no_template_has_an_image_of_it() -> None:
    only = asked(**FOLLOW)
    only = only.model_copy(
        update={"spec": only.spec.model_copy(update={"templates": only.spec.templates[1:]})}
    )
    nothing = record("0.1.1", templates={}, verdict=None)
    state = classify(only, observation(nothing, deliveries={"greeter": Known(())}))
    assert isinstance(state, Undelivered)


def test_a_version_that_failed_goes_back_to_one_that_somebody_never_delivered_an_image_of() -> None:
    before, without = (
        released("0.1.0", verdict=verdict("Good", 1)),
        released("0.1.1", verdict=verdict("Good", 2)),
    )
    failed = released("0.1.2", verdict=verdict("Failed", 3, "RolloutFailed"))
    state = classify(asked(version="0.1.2", **FOLLOW), seen(before, without, failed))
    assert isinstance(state, Held)
    assert state.fallback is not None
    assert state.fallback.version == "0.1.1"


def test_what_is_awaited_is_looked_for_often_until_nobody_expects_it_any_more() -> None:
    world = seen(released(), targets=Known((NEW,)))
    for minutes, pause in ((0, AWAITED_RETRY), (59, AWAITED_RETRY), (60, BACKSTOP), (9000, BACKSTOP)):
        now = NOON + timedelta(minutes=minutes)
        assert planned(asked(**FOLLOW), world, minutes=minutes).look_again == now + pause
    told = seen(released(dispatches={"greeter": SENT}), targets=Known((NEW,)))
    assert planned(asked(), told, minutes=9.5).look_again == NOON + timedelta(minutes=9.5) + AWAITED_RETRY
    assert planned(asked(), told, minutes=10).look_again == NOON + timedelta(minutes=10) + BACKSTOP


def test_after_one_that_was_refused_another_is_looked_for_often() -> None:
    note = HeldBack(
        reason="GateFailed", message="It failed.", refused=(BASE,), time=NOON + timedelta(minutes=50)
    )
    world = seen(released(held_back={"greeter": note}))
    for minutes, pause in ((70, AWAITED_RETRY), (110, BACKSTOP)):
        now = NOON + timedelta(minutes=minutes)
        assert planned(asked(**FOLLOW), world, minutes=minutes).look_again == now + pause


def patience(
    world: Observation,
    *,
    minutes: float = 0.0,
    progress: Progress | None = None,
    **build: Any,  # noqa: ANN401 -- any field
) -> timedelta | None:
    return planned(asked(**build or FOLLOW), world, minutes=minutes, progress=progress).patience


def test_nothing_comes_by_itself_where_only_an_image_is_awaited_that_nobody_announced() -> None:
    assert patience(seen(released())) == timedelta(0)


def test_an_answer_that_has_a_deadline_is_waited_for() -> None:
    told = seen(released(dispatches={"greeter": SENT}))
    assert patience(told, minutes=9.9, **TELL) is None
    assert patience(told, minutes=10, **TELL) == timedelta(0)


def test_what_cannot_be_read_is_waited_for() -> None:
    assert patience(seen(released(), found=None)) is None
    assert patience(seen(released(), targets=AWAY)) is None


def test_a_target_that_does_not_report_is_waited_for_as_long_as_it_may_take_to_start() -> None:
    silent = seen(released(), targets=Known((target("ws-1", "0.1.1", running=AWAY),)))
    assert patience(silent) == timedelta(seconds=1800)


def test_while_something_is_to_be_done_or_tried_again_nobody_else_is_waited_for() -> None:
    stale = seen(released(), targets=Known((OLD,)))
    assert patience(stale) is None
    (replacement,) = planned(asked(**FOLLOW), stale).actions
    assert isinstance(replacement, Replace)
    key = replacement.key
    assert patience(stale, progress=Progress(in_flight=frozenset({key}))) is None
    again = Failure("Rolling", "Busy.", NOON + timedelta(minutes=1))
    assert patience(stale, progress=Progress(failures={key: again})) is None
    for_good = Failure("RolloutFailed", "No.", None)
    assert patience(stale, progress=Progress(failures={key: for_good})) == timedelta(0)


def test_a_version_that_somebody_else_publishes_comes_when_they_do() -> None:
    wanted = asked(**FOLLOW)
    package = wanted.spec.package.model_copy(update={"publish": "External"})
    wanted = wanted.model_copy(update={"spec": wanted.spec.model_copy(update={"package": package})})
    assert planned(wanted, observation()).patience == timedelta(0)


def test_whoever_was_told_late_is_told_while_the_verdict_is_written() -> None:
    plan = planned(asked(), seen(released(verdict=None), targets=Known((NEW,))))
    assert {type(action) for action in plan.actions} == {Dispatch, Judge}


MINUTE = timedelta(minutes=1)
LATE = THERE.model_copy(update={"built_time": NOON + MINUTE})
GREETERS = tuple(target(f"ws-{number}", "0.1.0", template="greeter") for number in (2, 3))


def delivered_late(**changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    """A version that was judged good before the image of its second template was there."""
    return released(**{"templates": {**released().templates, "greeter": LATE}, **changes})


def failed_in_fleet(record: ReleaseRecord) -> HeldBack | None:
    template = asked(**FOLLOW).spec.templates[1]
    image = rolled_image(record, "greeter", LATE.identity)
    if image is None:
        return None
    return held_back_in_fleet(record, template, image, "ws-2 did not come up.", now=NOON + 2 * MINUTE)


def test_what_is_delivered_after_the_verdict_and_fails_in_the_fleet_is_held_back_alone() -> None:
    note = failed_in_fleet(delivered_late())
    assert note is not None
    assert (note.reason, note.refused) == ("RolloutFailed", (LATE.identity,))
    assert note.message == (
        "ws-2 did not come up. Another image must be delivered; `wsr resume` tries this one again."
    )
    held = delivered_late().holding_back("greeter", note)
    world = seen(held, targets=Known((NEW, *GREETERS)))
    plan = planned(asked(**FOLLOW), world)
    assert plan.actions == (), "no second target is tried with it"
    ((_, failure),) = plan.failed
    assert (failure.reason, failure.message) == ("RolloutFailed", note.message)
    assert isinstance(classify(asked(**FOLLOW), world), Undelivered)
    assert image_for_new({"0.1.1": held}, "0.1.1", "greeter") is None
    assert of(planned(asked(**FOLLOW), seen(held.resumed(NOON), targets=Known((NEW, *GREETERS))))) == [
        "Replace",
        "Replace",
    ]


def test_a_second_target_that_was_on_its_way_to_it_is_no_reason_to_look_at_that_target() -> None:
    held = delivered_late().holding_back("greeter", failed_in_fleet(delivered_late()))
    again = failed_in_fleet(held)
    assert again is not None
    assert again.refused == (LATE.identity,)


def test_where_such_a_template_may_fail_the_version_is_through_without_it() -> None:
    note = failed_in_fleet(delivered_late())
    world = seen(delivered_late().holding_back("greeter", note), targets=Known((NEW, *GREETERS)))
    state = classify(asked("AllowFailure", **FOLLOW), world)
    assert isinstance(state, UpToDate)
    assert {left.reason for left in state.fleet.missed} == {"TemplatesHeldBack"}


def test_another_image_of_it_is_probed() -> None:
    note = failed_in_fleet(delivered_late())
    another = DeliveredImage(f"{IMAGE}:latest", STRANGE, STRANGE, version="0.1.1")
    world = seen(delivered_late().holding_back("greeter", note), found=(another,), targets=Known((NEW,)))
    assert of(planned(asked(**FOLLOW), world)) == ["Probe"]


@pytest.mark.parametrize(
    "record",
    [
        delivered_late(verdict=None),
        delivered_late(verdict=verdict("Good", minute=2)),
        released(),
    ],
    ids=["not judged", "judged with it", "not there"],
)
def test_a_failure_of_what_the_verdict_speaks_for_is_no_matter_of_one_template(record: ReleaseRecord) -> None:
    assert failed_in_fleet(record) is None


def test_an_image_of_our_own_is_never_held_back_by_the_fleet_alone() -> None:
    template = asked().spec.templates[0]
    echo = released().templates["echo"].model_copy(update={"built_time": NOON + MINUTE})
    judged = released(templates={"echo": echo})
    assert held_back_in_fleet(judged, template, echo, "No.", now=NOON) is None


def test_a_version_is_judged_once_more_when_the_fleet_runs_what_was_delivered_late() -> None:
    runs = target("ws-2", "0.1.1", template="greeter")
    for late, actions in ((delivered_late(), ["Judge"]), (delivered_late(verdict=verdict("Good", 2)), [])):
        assert of(planned(asked(**FOLLOW), seen(late, targets=Known((NEW, runs))))) == actions
    elsewhere = delivered_late(publisher="elsewhere/other")
    assert of(planned(asked(**FOLLOW), seen(elsewhere, targets=Known((NEW, runs))))) == []


def test_a_verdict_falls_after_all_others_and_after_what_it_speaks_for_whosever_clock_was_ahead() -> None:
    records = {"0.1.0": released("0.1.0", verdict=verdict("Good", 5)), "0.1.1": delivered_late(verdict=None)}
    after = timedelta(milliseconds=1)
    assert judged_time(records, "0.1.1", now=NOON) == verdict("Good", 5).time + after
    del records["0.1.0"]
    assert judged_time(records, "0.1.1", now=NOON) == NOON + MINUTE + after
    assert judged_time(records, "0.1.1", now=NOON + 2 * MINUTE) == NOON + 2 * MINUTE


def test_a_version_that_failed_on_a_target_while_it_was_judged_stays_failed() -> None:
    failed = released(verdict=verdict("Failed", 1, "RolloutFailed"))
    assert with_good(failed, verdict("Good", 2)) == failed
    good = with_good(released(verdict=None), verdict("Good", 2))
    assert (good.verdict, good.promoted) == (verdict("Good", 2), True)


def test_an_image_of_our_own_that_was_built_anew_leaves_the_verdict_as_it_is() -> None:
    echo = released().templates["echo"].model_copy(update={"built_time": NOON + MINUTE})
    world = seen(released(templates={"echo": echo, "greeter": THERE}), targets=Known((NEW,)))
    assert of(planned(asked(**FOLLOW), world)) == []


def test_a_rollback_brings_nothing_to_an_image_that_has_not_got_its_tag() -> None:
    candidate = THERE.model_copy(update={"image": f"{IMAGE}:candidate-00000000"})
    templates = {**released("0.1.1").templates, "greeter": candidate}
    good = released("0.1.1", templates=templates, verdict=verdict("Good", 2))
    failed = released("0.1.2", verdict=verdict("Failed", 3, "RolloutFailed"))
    state = classify(asked(version="0.1.2", **FOLLOW), seen(good, failed))
    assert isinstance(state, Held)
    assert state.fallback is not None
    assert set(state.fallback.templates) == {"echo"}


def test_a_repository_that_tells_nothing_is_asked_again_soon_beside_what_is_awaited() -> None:
    world = replace(seen(released(), targets=Known((OLD,))), unread={f"{ECHO}:latest": AWAY})
    plan = planned(asked(**FOLLOW), world)
    assert (plan.patience, plan.look_again) == (None, NOON + BLOCKED_RETRY)


@pytest.mark.parametrize(
    "targets", [(OLD,), (NEW, *GREETERS), GREETERS], ids=["rolling", "through", "no target"]
)
def test_a_repository_that_tells_nothing_is_asked_again_soon_whoever_runs_its_images(
    targets: tuple[Target, ...],
) -> None:
    world = replace(seen(released(), targets=Known(targets)), unread={f"{ECHO}:latest": AWAY})
    plan = planned(asked(**FOLLOW), world, minutes=500)
    assert (plan.patience, plan.look_again) == (None, NOON + timedelta(minutes=500) + BLOCKED_RETRY)


def test_a_repository_that_only_a_person_can_make_tell_anything_is_not_waited_for() -> None:
    refuses = replace(AWAY, stalled="CredentialsMissing")
    world = replace(seen(released(), targets=Known(())), unread={f"{ECHO}:latest": refuses})
    assert planned(asked(**FOLLOW), world).patience == timedelta(0)
