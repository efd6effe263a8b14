"""Targets go in waves: who is in which, when the next one begins, and what is known after everything was forgotten."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api.conditions import Reason
from controller.api.status import RolloutStatus
from controller.api.v1alpha1 import Rollout
from controller.model.actions import Promote, Replace, TagMove
from controller.model.container import ContainerState
from controller.model.observed import Known
from controller.model.plan import Failure, Plan, Progress
from controller.model.target import Barred, Phase, Target
from controller.model.wave import Turn
from controller.plan.decide import decide
from controller.plan.fleet import sort_fleet
from controller.plan.state import Stale
from controller.plan.waves import assigned, turn_of
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, record, succession, target
from tests.unit.simulator.virtual_time import NOON

WANTED = record("0.1.1")
CANARY = {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}, "soakSeconds": 600}
HALF = {"name": "half", "percent": 50, "soakSeconds": 120}
REST = {"name": "everyone"}
LATER = NOON + timedelta(seconds=600)


def rollout(*waves: dict[str, Any]) -> Rollout:
    return Rollout.model_validate({"maxUnavailable": 8, "waves": list(waves)})


def fleet_of(canary: str = "0.1.0", half: str = "0.1.0", rest: str = "0.1.0", **changes: Any) -> list[Target]:  # noqa: ANN401 -- any field
    """A canary, and two targets of which the first is in the half that goes next."""
    ring = {"ring": "canary"}
    return [
        target("ws-3", canary, labels=ring, **changes),
        target("ws-1", half),
        target("ws-4", rest),
    ]


THREE = rollout(CANARY, HALF, REST)


def said_of(before: Turn | None) -> RolloutStatus | None:
    """What a status says of a turn."""
    if before is None:
        return None
    return RolloutStatus(plan_hash=before.plan_hash, wave=before.name, wave_proven_time=before.proven_time)


def turn(
    targets: list[Target], now: datetime = NOON, before: Turn | None = None, asked: Rollout = THREE
) -> Turn:
    found = turn_of(asked, WANTED, sort_fleet(WANTED, targets), said_of(before), now)
    assert found is not None
    return found


def plan(targets: list[Target], before: Turn | None = None, now: datetime = NOON) -> Plan:
    said = said_of(before)
    asked = document("0.1.1", rollout=THREE.model_dump(mode="json"))
    state = Stale(WANTED, sort_fleet(WANTED, targets))
    return decide(asked, state, Progress(), now, targets=Known(tuple(targets)), rollout=said)


def goes(made: Plan) -> list[str]:
    return [each.target.rsplit("/", 1)[1] for each in made.actions if isinstance(each, Replace)]


def test_without_waves_everybody_is_in_one() -> None:
    targets = fleet_of()
    assert set(assigned(Rollout(), targets, "0.1.1").values()) == {"everyone"}
    assert turn_of(Rollout(), WANTED, sort_fleet(WANTED, targets), None, NOON) is None


def test_a_target_is_in_the_first_wave_that_takes_it_by_labels_or_host_and_else_in_the_last() -> None:
    hosts = {"name": "hosts", "hosts": ["prod-1"]}
    targets = [
        target("ws-1", labels={"ring": "canary", "more": "x"}, host="prod-1"),
        target("ws-2", labels={"ring": "other"}, host="prod-1"),
        *(target(f"ws-{number}") for number in range(3, 9)),
    ]
    waves = assigned(rollout(CANARY, hosts, REST), targets, "0.1.1")
    assert waves["docker/local/ws-1"] == "canary"
    assert waves["docker/local/ws-2"] == "hosts"
    assert sorted(waves.values()).count("hosts") == 1


@pytest.mark.parametrize(("percent", "many"), [(1, 1), (5, 1), (10, 2), (14, 2), (15, 3), (99, 19)])
def test_a_percentage_rounds_down_and_is_at_least_one(percent: int, many: int) -> None:
    targets = [target(f"ws-{number}") for number in range(20)]
    waves = assigned(rollout({"name": "first", "percent": percent}, REST), targets, "0.1.1")
    assert list(waves.values()).count("first") == many


def test_percentages_are_cumulative_and_stay_with_the_same_targets() -> None:
    targets = [target(f"ws-{number}") for number in range(40)]
    small = assigned(rollout({"name": "first", "percent": 10}, REST), targets, "0.1.1")
    both = assigned(
        rollout({"name": "first", "percent": 10}, {"name": "second", "percent": 25}, REST), targets, "0.2.0"
    )
    first = {name for name, wave in small.items() if wave == "first"}
    assert {name for name, wave in both.items() if wave == "first"} == first
    assert list(both.values()).count("second") == 6, "a quarter of forty, less the four that went before"
    more = assigned(rollout({"name": "first", "percent": 10}, REST), targets[1:], "0.1.1")
    assert len(first - {name for name, wave in more.items() if wave == "first"}) <= 1


def test_who_is_stopped_or_held_is_no_canary_by_percentage() -> None:
    one = rollout({"name": "first", "percent": 5}, REST)
    targets = [target(f"ws-{number}") for number in range(20)]
    (chosen,) = (name for name, wave in assigned(one, targets, "0.1.1").items() if wave == "first")
    for changes in ({"hold": "mine"}, {"state": ContainerState.EXITED, "running": AWAY}):
        others = [target(each.name, **changes) if each.id == chosen else each for each in targets]
        (another,) = (name for name, wave in assigned(one, others, "0.1.1").items() if wave == "first")
        assert another != chosen


def test_only_the_first_wave_goes_before_it_is_through() -> None:
    made = plan(fleet_of())
    assert goes(made) == ["ws-3"]
    assert made.turn is not None
    assert (made.turn.name, made.turn.proven_time) == ("canary", None)


def test_a_wave_soaks_from_the_proof_of_its_last_target_on() -> None:
    targets = fleet_of("0.1.1")
    through = turn(targets)
    assert (through.name, through.proven_time, through.soaks_until) == ("canary", NOON, LATER)
    shortly = LATER - timedelta(seconds=1)
    made = plan(targets, through, shortly)
    assert (goes(made), made.look_again, made.patience) == ([], LATER, None)
    assert goes(plan(targets, through, LATER)) == ["ws-1"]


def test_a_target_that_comes_late_to_a_wave_soaks_too() -> None:
    through = turn(fleet_of("0.1.1"))
    late = [*fleet_of("0.1.1"), target("ws-5", "0.1.0", labels={"ring": "canary"})]
    again = turn(late, NOON + timedelta(seconds=300), through)
    assert (again.name, again.proven_time) == ("canary", None)
    late[-1] = target("ws-5", "0.1.1", labels={"ring": "canary"})
    assert turn(late, NOON + timedelta(seconds=310), again).soaks_until == LATER + timedelta(seconds=310)


def test_who_comes_late_to_a_wave_that_was_opened_keeps_nobody_waiting() -> None:
    opened = turn(fleet_of("0.1.1"), LATER, turn(fleet_of("0.1.1")))
    assert opened.name == "half"
    late = [*fleet_of("0.1.1"), target("ws-5", "0.1.0", labels={"ring": "canary"})]
    assert goes(plan(late, opened, LATER)) == ["ws-1", "ws-5"]


def test_a_wave_whose_targets_cannot_be_asked_has_proven_nothing() -> None:
    silent = turn(fleet_of("0.1.1", running=AWAY))
    assert (silent.name, silent.proven_time) == ("canary", None)
    assert goes(plan(fleet_of("0.1.1", running=AWAY))) == []
    other = target("ws-6", "0.1.1", labels={"ring": "canary"})
    assert turn([*fleet_of("0.1.1", running=AWAY), other]).proven_time == NOON, "one of two has"


def test_a_wave_that_nobody_is_in_is_passed_over() -> None:
    nobody = {"name": "nobody", "selector": {"matchLabels": {"ring": "none"}}, "soakSeconds": 600}
    assert turn(fleet_of(), asked=rollout(nobody, CANARY, REST)).name == "canary"


def test_another_image_or_other_waves_are_another_plan() -> None:
    opened = turn(fleet_of("0.1.1"), LATER, turn(fleet_of("0.1.1")))
    assert turn(fleet_of("0.1.1"), LATER, opened).name == "half"
    shorter = rollout(CANARY | {"soakSeconds": 60}, HALF, REST)
    assert turn(fleet_of("0.1.1"), LATER, opened, asked=shorter).name == "canary"


def test_whoever_forgot_everything_soaks_the_last_wave_that_is_through_once_more() -> None:
    targets = fleet_of("0.1.1", "0.1.1")
    forgot = turn(targets, LATER)
    assert (forgot.name, forgot.soaks_until) == ("half", LATER + timedelta(seconds=120))
    assert goes(plan(targets, None, LATER)) == []


def test_where_nobody_is_left_to_go_nothing_moves_on_until_somebody_is() -> None:
    done = fleet_of("0.1.1", "0.1.1", "0.1.1")
    first = turn(fleet_of("0.1.1"))
    assert (first.name, first.proven_time, first.soaks_until) == ("canary", NOON, LATER)
    rest = turn(done, LATER + timedelta(seconds=600), first)
    assert (rest.name, rest.proven_time, rest.soaks_until) == ("canary", NOON, None)
    assert turn(done, LATER + timedelta(seconds=900), rest) == rest, "an object at rest is not written"
    back = turn(fleet_of("0.1.1"), LATER + timedelta(seconds=900), rest)
    assert back.name == "half", "the canary has soaked meanwhile"
    unproven = [replace(done[0], running=AWAY), *done[1:]]
    assert turn(unproven, LATER, first).proven_time is None


def test_what_was_begun_is_finished_before_its_wave_and_goes_no_further() -> None:
    same = target("ws-4", "0.1.0", succession=succession(Phase.SWITCHING))
    other = target("ws-1", "0.1.0", succession=succession(Phase.PREPARED, "0.1.2"))
    made = plan([fleet_of()[0], other, same])
    images = {each.target: each.image_id for each in made.actions if isinstance(each, Replace)}
    assert images["docker/local/ws-4"] == WANTED.templates["echo"].image_id
    assert images["docker/local/ws-1"] is None, "it ends with what it was begun with"


def early(targets: list[Target], before: Turn | None = None, now: datetime = NOON) -> Plan:
    """The plan of a document whose moving tags follow the canary."""
    rolled = THREE.model_dump(mode="json") | {"promoteAfterWave": "canary"}
    moves = (TagMove("echo", "latest", "sha256:old"),)
    state = Stale(WANTED, sort_fleet(WANTED, targets), ("echo",), moves)
    asked = document("0.1.1", rollout=rolled)
    return decide(asked, state, Progress(), now, targets=Known(tuple(targets)), rollout=said_of(before))


def promotes(made: Plan) -> bool:
    return any(isinstance(each, Promote) for each in made.actions)


def test_moving_tags_follow_the_wave_that_they_were_told_to_once_it_has_soaked() -> None:
    assert not promotes(early(fleet_of()))
    through = early(fleet_of("0.1.1"))
    assert not promotes(through), "it soaks"
    opened = early(fleet_of("0.1.1"), through.turn, LATER)
    assert promotes(opened)
    assert goes(opened) == ["ws-1"], "and the next wave goes"
    promotion = next(each for each in opened.actions if isinstance(each, Promote))
    assert promotion.reason == "the waves that its moving tags wait for have proven the release"


def test_moving_tags_follow_no_wave_that_nobody_was_in_and_without_a_word_only_the_last() -> None:
    nobody = [target("ws-1", "0.1.0"), target("ws-4", "0.1.0")]
    passed_over = early(nobody)
    assert passed_over.turn is not None
    assert (passed_over.turn.name, promotes(passed_over)) == ("half", False)
    usual = plan(fleet_of("0.1.1", "0.1.1"), None, LATER)
    assert not promotes(usual)


def test_whose_work_outlasts_its_drain_keeps_the_next_wave_waiting_no_more() -> None:
    busy = target("ws-5", "0.1.0", labels={"ring": "canary"}, busy=True)
    targets = [*fleet_of("0.1.1"), busy]
    waits = Replace(busy.id, "0.1.1", "echo", WANTED.templates["echo"].image_id, "")
    late = {waits.key: Failure(Reason.DRAINING, "It is at work; trying again.", NOON)}
    state, asked = (
        Stale(WANTED, sort_fleet(WANTED, targets)),
        document("0.1.1", rollout=THREE.model_dump(mode="json")),
    )

    def turn_with(progress: Progress) -> Turn:
        made = decide(asked, state, progress, NOON, targets=Known(tuple(targets)))
        assert made.turn is not None
        return made.turn

    assert (turn_with(Progress()).name, turn_with(Progress()).soaks_until) == ("canary", None)
    assert turn_with(Progress(failures=late)).soaks_until == LATER
    failed = {waits.key: Failure(Reason.ROLLING, "The engine is away; trying again.", NOON)}
    assert turn_with(Progress(failures=failed)).soaks_until is None


def test_a_wave_of_which_all_are_busy_has_proven_nothing() -> None:
    busy = target("ws-3", "0.1.0", labels={"ring": "canary"}, busy=True)
    targets = [busy, *fleet_of()[1:]]
    found = turn_of(THREE, WANTED, sort_fleet(WANTED, targets), None, NOON, put_off={busy.id})
    assert found is not None
    assert (found.name, found.proven_time) == ("canary", None)


def hundred(silent: int, **more: Any) -> Turn:  # noqa: ANN401 -- of a rollout
    """The turn when a canary of forty has proven the version, but for those that are silent."""
    ring = {"ring": "canary"}
    canary = [
        target(f"ws-{number}", "0.1.1", labels=ring, **({"running": AWAY} if number < silent else {}))
        for number in range(40)
    ]
    asked = Rollout.model_validate({**rollout(CANARY, REST).model_dump(mode="json"), **more})
    return turn([*canary, target("ws-99", "0.1.0")], asked=asked)


@pytest.mark.parametrize(
    ("silent", "most", "through"),
    [
        (4, "10%", True),
        (5, "10%", False),
        (1, 1, True),
        (2, 1, False),
        (39, "100%", True),
        (40, "100%", False),
    ],
)
def test_so_many_silent_targets_as_may_be_keep_no_wave_waiting(
    silent: int, most: int | str, *, through: bool
) -> None:
    found = hundred(silent, maxUnreachable=most)
    assert (found.soaks_until == LATER) is through
    assert found.name == "canary"


def test_a_host_that_is_away_counts_as_silent_in_the_wave_that_takes_it() -> None:
    barred = Barred(Reason.UNKNOWN, "it does not answer")
    away = [Target.unseen_host(f"prod-{number}", barred, AWAY) for number in (1, 2)]
    first = {"name": "first", "hosts": ["prod-1", "prod-2", "local"], "soakSeconds": 600}
    targets = [target("ws-1", "0.1.1"), target("ws-2", "0.1.0", host="prod-3")]
    one = turn([*targets, away[0]], asked=rollout(first, REST))
    assert one.soaks_until == LATER
    both = turn([*targets, *away], asked=rollout(first, REST))
    assert (both.name, both.soaks_until) == ("first", None)
