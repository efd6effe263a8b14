"""Every target stands in one bucket, and those that may go now keep the budget and spare the busy."""

from typing import Any

import pytest

from controller.model.container import ContainerState
from controller.model.target import Phase, Target
from controller.model.template_record import PlatformImage
from controller.plan.budget import allowed
from controller.plan.fleet import Fleet, may_go_now, sort_fleet, why_stale
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, image, record, succession, target, template_record

WANTED = record("0.1.1")


def sorted_(*targets: Target, **changes: Any) -> Fleet:  # noqa: ANN401 -- any argument of sort_fleet
    return sort_fleet(WANTED, targets, **changes)


def old(name: str, **changes: Any) -> Target:  # noqa: ANN401 -- any field
    return target(name, "0.1.0", **changes)


def test_a_target_is_stale_for_its_version_or_for_an_image_that_was_built_anew() -> None:
    here = record()
    assert why_stale(target("ws-1", image_id="sha256:old"), here) == "it runs an earlier image of 0.1.0"
    assert why_stale(target("ws-1", "0.0.9"), here) == "it does not run 0.1.0"
    assert why_stale(target("ws-1", running=AWAY), here) == "it does not run 0.1.0"


def test_only_what_reports_version_and_content_from_inside_is_up_to_date() -> None:
    good = target(version="0.1.1")
    assert sorted_(good).up_to_date == (good,)
    other_content = sort_fleet(record("0.1.1", content_sha256="f" * 64), [good])
    assert other_content.up_to_date == ()
    assert other_content.unproven == (good,)


def test_the_right_report_from_another_image_is_stale() -> None:
    rebuilt = target(version="0.1.1", image_id=image("0.1.0", "echo"))
    assert sorted_(rebuilt).stale == (rebuilt,)


def test_the_right_image_is_the_same_by_the_digest_of_index_manifest_or_configuration() -> None:
    wanted = record("0.1.1")
    own, other = (PlatformImage(digest=digest(a), image_id=digest(b)) for a, b in ("bc", "de"))
    indexed = template_record("0.1.1", "echo").model_copy(
        update={
            "digest": digest("a"),
            "image_id": digest("c"),
            "platforms": {"linux/amd64": own, "linux/arm64": other},
        }
    )
    wanted = wanted.with_template("echo", indexed)
    for letter in "abcde":
        runs = target(version="0.1.1", image_id=digest(letter))
        assert sort_fleet(wanted, [runs]).up_to_date == (runs,)
    another = target(version="0.1.1", image_id=digest("f"))
    assert sort_fleet(wanted, [another]).stale == (another,)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def test_the_right_image_without_a_report_is_neither_stale_nor_up_to_date() -> None:
    silent = target(version="0.1.1", running=AWAY)
    fleet = sorted_(silent)
    assert (fleet.up_to_date, fleet.stale, fleet.unproven) == ((), (), (silent,))
    assert not fleet.settled


def test_the_right_image_that_reports_another_version_is_unproven() -> None:
    lying = target(version="0.1.1", running=old("ws-1").running)
    assert sorted_(lying).unproven == (lying,)


@pytest.mark.parametrize("state", [ContainerState.EXITED, ContainerState.CREATED, ContainerState.DEAD])
def test_a_stopped_target_with_the_right_image_is_done_and_not_counted(state: ContainerState) -> None:
    stopped = target(version="0.1.1", running=AWAY, state=state)
    fleet = sorted_(stopped)
    assert fleet.up_to_date == (stopped,)
    assert (fleet.ours, fleet.counted, fleet.proven) == ((stopped,), (), ())
    assert fleet.settled


def test_a_stopped_target_on_an_old_image_is_stale_and_not_counted() -> None:
    stopped = old("ws-1", running=AWAY, state=ContainerState.EXITED)
    fleet = sorted_(stopped)
    assert fleet.stale == (stopped,)
    assert fleet.counted == ()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"hold": "debugging"}, "held: debugging"),
        ({"hold": ""}, "held"),
        ({"pin": "0.1.0"}, "pinned to 0.1.0"),
        ({"shape_unsafe": "linked to by ws-x"}, "linked to by ws-x"),
        ({"template": None, "template_unknown": "image of nobody"}, "image of nobody"),
        ({"template": None}, "of no listed template"),
        ({"template": "other"}, "template other has no image of 0.1.1"),
    ],
)
def test_what_must_not_be_touched_is_left_alone_with_its_cause(changes: dict[str, Any], cause: str) -> None:
    left = old("ws-1", **changes)
    fleet = sorted_(left)
    assert [(each.target, each.cause) for each in fleet.untouched] == [(left, cause)]
    assert fleet.ours == ()
    ours = changes.keys() <= {"hold", "pin", "shape_unsafe"}
    assert (fleet.missed == fleet.untouched) is ours, "what is of no listed template is no target"


@pytest.mark.parametrize(
    "changes", [{"hold": "debugging"}, {"pin": "0.1.0"}, {"shape_unsafe": "started with --rm"}]
)
def test_what_must_not_be_touched_and_runs_what_was_asked_for_is_up_to_date(changes: dict[str, Any]) -> None:
    right = target("ws-1", "0.1.1", **changes)
    fleet = sorted_(right)
    assert (fleet.up_to_date, fleet.untouched) == ((right,), ())


def test_a_replacement_whose_template_is_not_listed_any_more_is_still_to_be_ended() -> None:
    middle = target("ws-1", "0.1.0", template=None, succession=succession(Phase.SWITCHING))
    fleet = sorted_(middle)
    assert fleet.stale == (middle,)
    assert not fleet.settled


def test_a_pin_to_the_wanted_version_holds_nothing_up() -> None:
    pinned = old("ws-1", pin="0.1.1")
    assert sorted_(pinned).stale == (pinned,)


def test_a_template_whose_image_no_engine_can_name_is_left_alone() -> None:
    nameless = record(
        "0.1.1",
        templates={"echo": template_record("0.1.1", "echo", image_id=None, digest=f"sha256:{'1' * 64}")},
    )
    assert [left.cause for left in sort_fleet(nameless, [old("ws-1")]).untouched] == [
        "template echo has no image of 0.1.1"
    ]


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.SWITCHING])
def test_a_replacement_in_the_middle_is_finished_even_where_the_target_is_held_by_now(phase: Phase) -> None:
    middle = target(version="0.1.1", hold="too late", succession=succession(phase))
    assert sorted_(middle).stale == (middle,)


def test_a_stopped_target_that_awaits_its_first_start_is_done() -> None:
    waiting = target(
        version="0.1.1",
        running=AWAY,
        state=ContainerState.CREATED,
        succession=succession(Phase.AWAITING_FIRST_START),
    )
    assert sorted_(waiting).up_to_date == (waiting,)


def test_what_was_begun_comes_first_and_the_busy_last() -> None:
    fleet = sorted_(
        old("ws-1", busy=True),
        old("ws-2"),
        old("ws-3", succession=succession(Phase.SWITCHING)),
        old("ws-0"),
    )
    assert [each.name for each in fleet.stale] == ["ws-3", "ws-0", "ws-2", "ws-1"]


def test_a_rollback_leaves_out_what_never_ran_the_failed_version() -> None:
    failed = record("0.1.2")
    runs_it, other = target("ws-1", "0.1.2"), target("ws-2", "0.1.0")
    begun = target("ws-3", "0.1.0", succession=succession(Phase.PREPARED))
    fleet = sorted_(runs_it, other, begun, only_running=failed)
    assert fleet.stale == (begun, runs_it), "what was begun is ended, whatever it ran"
    assert fleet.ours == fleet.stale


# --- who may go now


def going(
    *targets: Target, amount: int | str = 2, ready: set[str] | None = None, in_flight: set[str] | None = None
) -> list[str]:
    spec = document(rollout={"maxUnavailable": amount}).spec
    fleet = sorted_(*targets)
    everybody = {each.id for each in fleet.stale}
    chosen = may_go_now(
        spec,
        fleet,
        ready=frozenset(ready if ready is not None else everybody),
        in_flight=frozenset(in_flight or ()),
    )
    return [each.name for each in chosen]


def many(number: int, **changes: Any) -> list[Target]:  # noqa: ANN401 -- any field
    return [old(f"ws-{index}", **changes) for index in range(number)]


@pytest.mark.parametrize(
    ("amount", "total", "expected"),
    [
        (1, 100, 1),
        (3, 100, 3),
        ("25%", 8, 2),
        ("25%", 7, 1),
        ("25%", 3, 1),
        ("99%", 2, 1),
        ("100%", 5, 5),
        ("1%", 0, 1),
    ],
)
def test_percentages_round_down_to_at_least_one(amount: int | str, total: int, expected: int) -> None:
    assert allowed(amount, total) == expected


def test_no_more_go_than_may_be_unavailable() -> None:
    assert going(*many(8), amount="25%") == ["ws-0", "ws-1"]


def test_an_engine_does_no_more_than_four_at_a_time_however_large_the_budget() -> None:
    assert going(*many(8), amount="100%") == ["ws-0", "ws-1", "ws-2", "ws-3"]
    assert going(*many(8), amount="100%", in_flight={"docker/local/ws-0"}) == ["ws-1", "ws-2", "ws-3"]


def test_each_engine_has_its_own_four() -> None:
    here = [old(f"ws-{number}") for number in range(6)]
    there = [old(f"ws-{number}", id=f"docker/other/ws-{number}", host="other") for number in range(6)]
    chosen = going(*here, *there, amount="100%", in_flight={"docker/local/ws-0"})
    assert sorted(chosen) == sorted(["ws-1", "ws-2", "ws-3", "ws-0", "ws-1", "ws-2", "ws-3"])


def test_workloads_go_as_far_as_the_budget_lets_them() -> None:
    workloads = [
        old(f"ws-{number}", id=f"agents/Deployment/ws-{number}", host="agents") for number in range(20)
    ]
    assert len(going(*workloads, amount="100%")) == 20
    assert len(going(*workloads, amount="25%")) == 5


def test_what_is_under_way_uses_the_budget() -> None:
    assert going(*many(8), in_flight={"docker/local/ws-0"}) == ["ws-1"]
    assert going(*many(8), in_flight={"docker/local/ws-0", "docker/local/ws-1"}) == []


def test_a_target_under_way_towards_another_image_is_not_begun_a_second_time() -> None:
    assert going(*many(2), in_flight={"docker/local/ws-0"}) == ["ws-1"]


def test_only_what_may_be_tried_goes() -> None:
    assert going(*many(3), ready={"docker/local/ws-2"}) == ["ws-2"]


def test_percentages_count_neither_stopped_targets_nor_those_left_alone() -> None:
    stopped = [old(f"st-{n}", running=AWAY, state=ContainerState.EXITED) for n in range(4)]
    held = [old(f"he-{n}", hold="mine") for n in range(4)]
    assert going(*many(4), *held, amount="50%") == ["ws-0", "ws-1"]
    assert going(*many(4), *stopped, amount="50%")[:2] == ["st-0", "st-1"]
    assert going(*many(4), *stopped, amount="25%", ready={each.id for each in many(4)}) == ["ws-0"]


def test_stopped_targets_and_crash_loops_cost_no_budget() -> None:
    stopped = old("ws-8", running=AWAY, state=ContainerState.EXITED)
    looping = old("ws-9", running=AWAY, state=ContainerState.RESTARTING)
    assert going(*many(2), stopped, looping, amount=1) == ["ws-0", "ws-8", "ws-9"]
    first = old("a", running=AWAY, state=ContainerState.EXITED)
    assert going(first, *many(2), amount=1) == ["a", "ws-0"]


def test_what_an_interrupted_pass_left_down_is_finished_first_and_uses_the_budget() -> None:
    left = [
        old(f"zz-{n}", running=AWAY, state=ContainerState.EXITED, succession=succession(Phase.SWITCHING))
        for n in range(2)
    ]
    assert going(*many(6), *left, amount="25%") == ["zz-0", "zz-1"]


def test_a_successor_that_was_only_prepared_costs_budget_for_the_old_one_still_serves() -> None:
    prepared = [old(f"zz-{n}", succession=succession(Phase.PREPARED)) for n in range(3)]
    assert going(*prepared, amount=2) == ["zz-0", "zz-1"]


def test_a_busy_target_waits_while_an_idle_one_is_left_or_under_way() -> None:
    assert going(old("ws-0", busy=True), old("ws-1")) == ["ws-1"]
    assert going(old("ws-0", busy=True), old("ws-1"), in_flight={"docker/local/ws-1"}) == []


def test_busy_targets_go_when_only_they_are_left() -> None:
    assert going(*many(3, busy=True)) == ["ws-0", "ws-1"]


def test_busy_targets_do_not_wait_for_idle_ones_that_may_not_be_tried() -> None:
    assert going(old("ws-0", busy=True), old("ws-1"), ready={"docker/local/ws-0"}) == ["ws-0"]


def test_a_busy_target_in_the_middle_is_finished_without_waiting_for_the_idle() -> None:
    middle = old("ws-0", busy=True, succession=succession(Phase.PREPARED))
    assert going(middle, *(old(f"ws-{n}") for n in (1, 2))) == ["ws-0", "ws-1"]
