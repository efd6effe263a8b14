"""A namespace that cannot be seen keeps its own targets from being known, and nobody else's from going on."""

from controller.api.conditions import Reason
from controller.model.actions import Promote, Replace
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.target import Barred, Target
from controller.plan.decide import decide
from controller.plan.fleet import sort_fleet
from controller.plan.prune import old_candidates
from controller.plan.state import Blocked, Stale, UpToDate, classify
from tests.unit.plan.test_prune import RELEASED, abandoned, asked, candidate
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, observation, record, target
from tests.unit.simulator.virtual_time import NOON
from tests.unit.status.ground import status

REFUSED = "Namespace b does not let objects of namespace a roll its workloads"


def unseen(
    reason: Reason = Reason.UNKNOWN, cause: str = "Could not list deployments in b: it is away"
) -> Target:
    return Target.unseen("b", Barred(reason, cause), AWAY)


def condition(world: Observation, kind: str) -> tuple[str, str, str]:
    found = status(world).condition(kind)
    assert found is not None
    return found.status, found.reason, found.message


def test_the_targets_of_the_others_go_on() -> None:
    world = observation(
        record("0.1.0"), record("0.1.1", verdict=None), targets=Known((target("ws-1"), unseen()))
    )
    state = classify(document("0.1.1"), world)
    assert isinstance(state, Stale)
    plan = decide(document("0.1.1"), state, Progress(), NOON, targets=world.targets, records=world.records)
    assert [(type(action), getattr(action, "target", "")) for action in plan.actions] == [
        (Replace, "docker/local/ws-1")
    ]


def test_no_tag_moves_and_no_verdict_falls_while_targets_are_unknown_but_without_those_that_are_forbidden() -> (
    None
):
    known = record("0.1.0"), record("0.1.1", verdict=None)
    runs = target("ws-1", "0.1.1")
    away = observation(*known, targets=Known((runs, unseen())))
    assert classify(document("0.1.1"), away) == Blocked(
        "targets in b", "Could not list deployments in b: it is away"
    )
    forbidden = observation(*known, targets=Known((runs, unseen(Reason.NAMESPACE_NOT_ALLOWED, REFUSED))))
    state = classify(document("0.1.1"), forbidden)
    plan = decide(
        document("0.1.1"), state, Progress(), NOON, targets=forbidden.targets, records=forbidden.records
    )
    assert [type(action) for action in plan.actions] == [Promote]


def test_a_namespace_that_lets_nobody_in_is_told_with_the_cure() -> None:
    world = observation(
        record(), targets=Known((target("ws-1"), unseen(Reason.NAMESPACE_NOT_ALLOWED, REFUSED)))
    )
    assert isinstance(classify(document(), world), UpToDate)
    told = (
        "False",
        "NamespaceNotAllowed",
        f"1 of 2 targets run 0.1.0; b/Namespace/b cannot be replaced: {REFUSED}.",
    )
    assert condition(world, "RolledOut") == told
    assert condition(world, "Ready") == told
    assert condition(world, "Stalled") == ("True", *told[1:])


def test_a_host_whose_secret_is_missing_keeps_no_version_from_being_judged_and_is_told_with_the_cure() -> (
    None
):
    host = Target.unseen_host("far", Barred(Reason.SECRET_NOT_FOUND, "Secret far is not there"), AWAY)
    targets = Known((target("ws-1", "0.1.1"), host))
    rolling = observation(record("0.1.0"), record("0.1.1", verdict=None), targets=targets)
    state = classify(document("0.1.1"), rolling)
    plan = decide(
        document("0.1.1"), state, Progress(), NOON, targets=rolling.targets, records=rolling.records
    )
    assert [type(action) for action in plan.actions] == [Promote]
    world = observation(record(), targets=Known((target("ws-1"), host)))
    told = "1 of 2 targets run 0.1.0; docker/far/* cannot be replaced: Secret far is not there."
    assert condition(world, "Ready") == ("False", "SecretNotFound", told)


def test_a_namespace_that_cannot_be_read_is_told_as_unknown() -> None:
    world = observation(record(), targets=Known((target("ws-1"), unseen())))
    assert condition(world, "Ready") == (
        "Unknown",
        "Unknown",
        "The targets in b cannot be read: Could not list deployments in b: it is away",
    )


def test_nothing_is_deleted_while_it_is_not_known_what_runs() -> None:
    wanted, old = asked(), abandoned(candidate())
    world = observation(RELEASED, old)
    assert isinstance(world.records, Known)
    assert old_candidates(wanted, world.records.value, (), NOON)

    def kinds(*targets: Target) -> set[str]:
        state = UpToDate(RELEASED, sort_fleet(RELEASED, targets))
        plan = decide(wanted, state, Progress(), NOON, targets=Known(targets), records=world.records)
        return {type(action).__name__ for action in plan.actions}

    assert kinds() == {"Prune"}
    assert kinds(unseen(Reason.NAMESPACE_NOT_ALLOWED, REFUSED)) == set()
