"""Each state leads to its own actions, with reasons, and never to one that is under way, failed or in the way."""

from datetime import timedelta
from typing import Any

import pytest

from controller.model.actions import (
    Action,
    Adopt,
    Cascade,
    Judge,
    Package,
    Probe,
    Promote,
    Publish,
    Replace,
    Tag,
    TemplateBuild,
)
from controller.model.observed import Known
from controller.model.plan import Failure, Plan, Progress
from controller.model.target import Phase, Target
from controller.plan.decide import AWAITED_RETRY, BACKSTOP, BLOCKED_RETRY, PROBES_AT_ONCE, decide
from controller.plan.fleet import sort_fleet
from controller.plan.state import (
    Absent,
    Blocked,
    Held,
    Outstanding,
    Stale,
    State,
    Unbuilt,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
)
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import (
    TREE,
    image,
    record,
    release,
    succession,
    target,
    template_record,
    verdict,
)
from tests.unit.simulator.virtual_time import NOON

WANTED = record("0.1.1", verdict=None)
FAILED = record("0.1.1", verdict=verdict("Failed", reason="RolloutFailed"))
NOTHING = sort_fleet(WANTED, ())
PACKAGE = Package("0.1.1", TREE, "no record and no index has this version")


def plan(
    state: State,
    *in_flight: str,
    failures: dict[str, Failure] | None = None,
    targets: tuple[Target, ...] = (),
    **spec: Any,  # noqa: ANN401 -- any field of the spec
) -> Plan:
    progress = Progress(frozenset(in_flight), failures or {})
    return decide(document("0.1.1", **spec), state, progress, NOON, targets=Known(targets))


def actions(state: State, *in_flight: str, **rest: Any) -> tuple[Action, ...]:  # noqa: ANN401 -- as `plan`
    return plan(state, *in_flight, **rest).actions


def stale(*targets: Target) -> Stale:
    return Stale(WANTED, sort_fleet(WANTED, targets))


def replacement(name: str, version: str = "0.1.1", reason: str = "it does not run 0.1.1") -> Replace:
    return Replace(f"docker/local/{name}", version, "echo", image(version, "echo"), reason)


BACK = "0.1.1 failed, and 0.1.0 is the last known good"


def test_what_nobody_has_is_packaged_and_what_the_index_has_is_adopted() -> None:
    assert actions(Absent(None, TREE)) == (PACKAGE,)
    assert actions(Absent(release("0.1.1"), None)) == (
        Adopt("0.1.1", "the index already serves this version"),
    )


def test_all_missing_images_are_built_by_one_cascade_with_the_reason_of_each() -> None:
    builds = (
        TemplateBuild("echo", "1", "WheelChanged", rebuild=False),
        TemplateBuild("greeter", "2", "ImageMissing", rebuild=False),
    )
    assert actions(Unbuilt(WANTED, builds)) == (
        Cascade("0.1.1", WANTED.wheel.sha256, builds, "echo: WheelChanged, greeter: ImageMissing"),
    )


def test_every_unproven_image_is_probed_by_its_digest() -> None:
    assert actions(Unproven(WANTED, ("echo",))) == (
        Probe("0.1.1", "echo", image("0.1.1", "echo"), "its image has not been proven"),
    )


def test_no_more_candidates_boot_at_a_time_than_the_machine_bears() -> None:
    names = tuple(f"t{index}" for index in range(20))
    many = record("0.1.1", templates={name: template_record("0.1.1", name) for name in names})
    begun = actions(Unproven(many, names))
    assert len(begun) == PROBES_AT_ONCE
    more = actions(Unproven(many, names), *(action.key for action in begun[:-1]))
    assert [action.template for action in more if isinstance(action, Probe)] == ["t7"]


def test_tagging_and_publication_go_together_and_each_only_where_it_is_missing() -> None:
    unpublished = record("0.1.1", published_time=None)
    both = actions(Unpublished(unpublished, ("echo",)))
    assert both == (
        Tag("0.1.1", ("echo",), "these images passed the gate"),
        Publish("0.1.1", WANTED.wheel.sha256, "every template passed the gate"),
    )
    assert actions(Unpublished(unpublished, ())) == both[1:]
    assert actions(Unpublished(WANTED, ("echo",))) == both[:1]


def test_stale_targets_are_replaced_within_the_budget() -> None:
    fleet = stale(*(target(f"ws-{index}", "0.1.0") for index in range(4)))
    assert actions(fleet) == (replacement("ws-0"), replacement("ws-1"))


def test_a_target_on_its_way_to_another_image_is_not_replaced_a_second_time() -> None:
    under_way = f"replace/docker/local/ws-0|{image('0.1.2', 'echo')}"
    fleet = stale(*(target(f"ws-{index}", "0.1.0") for index in range(3)))
    assert actions(fleet, under_way) == (replacement("ws-1"),)


def test_tags_move_before_the_version_is_judged_good() -> None:
    assert actions(Unpromoted(WANTED, NOTHING, ("echo",))) == (
        Promote("0.1.1", ("echo",), "every target has proven the release"),
    )
    assert actions(Unpromoted(WANTED, NOTHING, ())) == (
        Judge("0.1.1", "every target has proven the release"),
    )


@pytest.mark.parametrize(
    "state",
    [
        UpToDate(WANTED, NOTHING),
        Blocked("targets", "away"),
        Held("Suspended", "by its owner"),
        Held("GateFailed", "no fallback"),
    ],
)
def test_nothing_is_done_for_what_is_up_to_date_unread_or_held(state: State) -> None:
    assert actions(state) == ()


def test_a_rollback_takes_tags_and_targets_back_to_the_last_known_good() -> None:
    fleet = sort_fleet(record(), [target("ws-1", "0.1.1")], only_running=FAILED)
    assert actions(Held("RolloutFailed", "…", record(), fleet, ("echo",))) == (
        Promote("0.1.0", ("echo",), "these tags still name the version that failed"),
        replacement("ws-1", "0.1.0", BACK),
    )


def test_a_rollback_keeps_the_budget_too() -> None:
    fleet = sort_fleet(record(), [target(f"ws-{index}", "0.1.1") for index in range(4)], only_running=FAILED)
    assert actions(Held("RolloutFailed", "…", record(), fleet)) == (
        replacement("ws-0", "0.1.0", BACK),
        replacement("ws-1", "0.1.0", BACK),
    )


# --- what is under way, and what failed


def test_what_is_under_way_is_not_begun_again() -> None:
    assert actions(Absent(None, TREE), PACKAGE.key) == ()


def test_what_failed_waits_until_it_is_due_and_is_told() -> None:
    failure = Failure("Building", "The index was away; trying again.", NOON + timedelta(seconds=8))
    waiting = plan(Absent(None, TREE), failures={PACKAGE.key: failure})
    assert waiting.actions == ()
    assert waiting.failed == ((PACKAGE, failure),)
    assert waiting.look_again == NOON + timedelta(seconds=8)
    due = plan(Absent(None, TREE), failures={PACKAGE.key: Failure("Building", "…", NOON)})
    assert due.actions == (PACKAGE,)
    assert due.failed == ()


def test_what_failed_for_good_is_told_and_left() -> None:
    failure = Failure("BuildFailed", "A syntax error.", None)
    stalled = plan(Absent(None, TREE), failures={PACKAGE.key: failure})
    assert stalled.actions == ()
    assert stalled.failed == ((PACKAGE, failure),)
    assert stalled.look_again == NOON + BACKSTOP


def test_failures_of_what_is_no_longer_wanted_are_not_told() -> None:
    assert plan(UpToDate(WANTED, NOTHING), failures={PACKAGE.key: Failure("x", "y", None)}).failed == ()


def test_what_cannot_be_read_is_looked_at_again_soon() -> None:
    assert plan(Blocked("targets", "away")).look_again == NOON + BLOCKED_RETRY
    assert plan(Held("RolloutFailed", "…", record(), None)).look_again == NOON + BLOCKED_RETRY
    unread = Outstanding(unread=Blocked("base image", "away"))
    assert plan(UpToDate(WANTED, NOTHING, outstanding=unread)).look_again == NOON + BLOCKED_RETRY
    assert plan(UpToDate(WANTED, NOTHING)).look_again == NOON + BACKSTOP


def test_a_version_that_somebody_else_publishes_is_looked_for_soon() -> None:
    described = document("0.1.1").spec.package.model_dump(mode="json", by_alias=True)
    waits = plan(Absent(None, None), package={**described, "publish": "External"})
    assert (waits.actions, waits.look_again) == ((), NOON + AWAITED_RETRY)
    assert plan(Absent(None, TREE)).look_again == NOON + BACKSTOP


# --- what is in the way


@pytest.mark.parametrize(
    "under_way",
    [
        f"package/0.1.1/{'0' * 64}",
        "cascade/0.1.1/0000",
        "probe/0.1.1/echo/sha256:00",
        "tag/0.1.1/echo",
        f"publish/0.1.1/{'0' * 64}",
        "adopt/0.1.1",
    ],
)
def test_new_bytes_for_a_version_wait_for_all_that_relies_on_the_old_ones(under_way: str) -> None:
    assert actions(Absent(None, TREE), under_way) == ()


def test_work_on_another_version_is_in_nobodys_way() -> None:
    assert actions(Absent(None, TREE), "publish/0.1.0/abc", "cascade/0.1.0/abc") == (PACKAGE,)


def test_the_rest_of_a_half_done_cascade_is_not_built_a_second_time() -> None:
    rest = Unbuilt(WANTED, (TemplateBuild("greeter", "2", "WheelChanged", rebuild=False),))
    assert actions(rest, "cascade/0.1.1/of-both") == ()


def test_the_rest_of_half_done_tags_is_left_to_who_moves_them() -> None:
    assert actions(Unpublished(WANTED, ("greeter",)), "tag/0.1.1/echo,greeter") == ()
    assert actions(Unpromoted(WANTED, NOTHING, ("greeter",)), "promote/0.1.1/echo,greeter") == ()
    assert actions(Unpromoted(WANTED, NOTHING, ()), "promote/0.1.1/echo,greeter") == ()


# --- what nobody wants any more


def test_preparations_for_another_version_are_cut_off_and_what_others_see_is_finished() -> None:
    in_flight = (
        "adopt/0.1.0",
        "package/0.1.0/x",
        "cascade/0.1.0/x",
        "probe/0.1.0/echo/x",
        "tag/0.1.0/echo",
        "publish/0.1.0/x",
        "promote/0.1.0/echo",
        "replace/docker/local/ws-1|x",
    )
    assert plan(stale(target("ws-1", "0.1.0")), *in_flight).superseded == set(in_flight[:4])


def test_preparations_from_other_bytes_of_the_version_are_cut_off() -> None:
    under_way = ("package/0.1.1/other", "cascade/0.1.1/x", "publish/0.1.1/x")
    assert plan(Absent(None, TREE), *under_way, PACKAGE.key).superseded == set(under_way[:2])


def test_an_outage_cuts_nothing_off() -> None:
    assert plan(Blocked("source", "away"), "package/0.1.1/x", "cascade/0.1.1/x").superseded == frozenset()


def test_a_failed_candidate_leaves_the_probes_of_the_others_to_their_end() -> None:
    assert plan(Held("GateFailed", "…", record(), NOTHING), "probe/0.1.1/greeter/x").superseded == frozenset()


def test_suspension_and_a_hold_on_the_object_cut_preparations_off() -> None:
    for reason in ("Suspended", "Held"):
        stopped = plan(Held(reason, "…"), "cascade/0.1.1/x", "replace/docker/local/ws-1|x")
        assert stopped.superseded == {"cascade/0.1.1/x"}


def test_a_replacement_in_the_middle_is_part_of_the_plan() -> None:
    middle = target("ws-9", "0.1.0", succession=succession(Phase.SWITCHING))
    assert actions(stale(middle))[0] == replacement("ws-9")


BUILDS = (
    TemplateBuild("echo", "1", "WheelChanged", rebuild=False),
    TemplateBuild("greeter", "2", "WheelChanged", rebuild=False),
    TemplateBuild("third", "3", "WheelChanged", rebuild=False),
)


def test_an_image_that_failed_is_not_built_again_beside_those_that_did_not() -> None:
    whole = Cascade("0.1.1", WANTED.wheel.sha256, BUILDS, "")
    failure = Failure("BuildFailed", "Template greeter: pip found nothing.", None)
    rest = plan(Unbuilt(WANTED, BUILDS), failures={whole.parts[1].key: failure})
    assert rest.actions == (
        Cascade(
            "0.1.1", WANTED.wheel.sha256, (BUILDS[0], BUILDS[2]), "echo: WheelChanged, third: WheelChanged"
        ),
    )
    assert rest.failed == ((whole.parts[1], failure),)


def test_an_image_that_failed_is_built_again_once_its_inputs_are_others() -> None:
    whole = Cascade("0.1.1", WANTED.wheel.sha256, BUILDS, "")
    failure = Failure("BuildFailed", "Template greeter: pip found nothing.", None)
    corrected = TemplateBuild("greeter", "2 corrected", "WheelChanged", rebuild=False)
    again = plan(Unbuilt(WANTED, (corrected,)), failures={whole.parts[1].key: failure})
    assert [action.builds for action in again.actions if isinstance(action, Cascade)] == [(corrected,)]


# --- replacements that were left in the middle

ENDING = Replace("docker/local/ws-1", "0.1.0", "echo", None, "its replacement was left in the middle")


def in_the_middle(phase: Phase = Phase.SWITCHING, **changes: Any) -> Target:  # noqa: ANN401 -- any field
    return target("ws-1", "0.0.9", succession=succession(phase, "0.1.0"), **changes)


@pytest.mark.parametrize(
    "state",
    [
        Absent(None, TREE),
        Unbuilt(WANTED, BUILDS),
        Unproven(WANTED, ("echo",)),
        Unpublished(WANTED, ("echo",)),
        Held("GateFailed", "no fallback"),
        Blocked("release records", "away"),
    ],
    ids=lambda state: type(state).__name__,
)
@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.SWITCHING])
def test_what_was_left_in_the_middle_is_ended_before_the_next_release_is_there(
    state: State, phase: Phase
) -> None:
    assert ENDING in actions(state, targets=(in_the_middle(phase),))
    resting = in_the_middle(Phase.AWAITING_FIRST_START)
    assert ENDING not in actions(state, targets=(resting,))


@pytest.mark.parametrize("state", [Held("Suspended", "…"), Held("Held", "…")])
def test_an_object_that_its_owner_stopped_ends_nothing(state: State) -> None:
    assert actions(state, targets=(in_the_middle(),)) == ()


def test_what_is_being_replaced_now_is_not_ended_beside_that() -> None:
    under_way = f"replace/docker/local/ws-1|{image('0.1.0', 'echo')}"
    assert actions(Absent(None, TREE), under_way, targets=(in_the_middle(),)) == (PACKAGE,)


def test_a_target_of_a_template_that_left_is_ended_and_not_rolled() -> None:
    gone = target("ws-1", "0.0.9", template=None, succession=succession(Phase.SWITCHING, "0.1.0"))
    ending = Replace("docker/local/ws-1", "0.1.0", "", None, ENDING.reason)
    assert actions(stale(gone), targets=(gone,)) == (ending,)


def test_identities_of_actions_come_from_their_inputs() -> None:
    build = TemplateBuild("echo", "1", "WheelChanged", rebuild=False)
    edited = TemplateBuild("echo", "2", "WheelChanged", rebuild=False)
    same = TemplateBuild("echo", "1", "ImageMissing", rebuild=False)
    assert Cascade("1", "w", (build,), "a").key == Cascade("1", "w", (same,), "b").key
    assert Cascade("1", "w", (build,), "a").key != Cascade("1", "w", (edited,), "a").key
    assert Cascade("1", "w", (build,), "a").key != Cascade("1", "v", (build,), "a").key
