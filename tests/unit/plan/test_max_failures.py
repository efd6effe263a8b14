"""On how many targets of a wave a version may fail before it is held, and what becomes of those."""

from datetime import timedelta
from typing import Any

from controller.api.conditions import Reason
from controller.model.actions import Replace
from controller.model.container import ContainerState
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.record import FailedTarget, ReleaseRecord
from controller.model.record_merge import merged
from controller.model.target import Phase, Target
from controller.plan.decide import decide
from controller.plan.fleet import sort_fleet
from controller.plan.outcome import failed_on, failed_targets
from controller.plan.state import Stale, UpToDate, classify
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, image, observation, record, succession, target, verdict
from tests.unit.simulator.virtual_time import NOON

KEY = "default/molecule-runtime"
RING = {"ring": "canary"}
WANTED = record("0.1.1", verdict=None)
FAILED = verdict("Failed", reason="RolloutFailed")


def failure(wave: str = "canary", minute: int = 1, of: str | None = None) -> FailedTarget:
    return FailedTarget(
        image=of or image("0.1.1", "echo"),
        wave=wave,
        message="It did not come up.",
        time=NOON + timedelta(minutes=minute),
    )


def noted(before: ReleaseRecord, name: str, spare: int, **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- of a failure
    key = changes.pop("key", KEY)
    return failed_on(before, f"{key} docker/local/{name}", failure(**changes), spare=spare, verdict=FAILED)


def asked(max_failures: int = 1) -> dict[str, Any]:
    canary = {"name": "canary", "selector": {"matchLabels": RING}, "maxFailures": max_failures}
    return {"maxUnavailable": 9, "waves": [canary, {"name": "everyone"}]}


def state_of(found: ReleaseRecord, *targets: Target, max_failures: int = 1) -> Any:  # noqa: ANN401 -- any state
    wanted = document("0.1.1", rollout=asked(max_failures))
    return classify(wanted, observation(record(), found, targets=Known(targets)))


def spares(found: ReleaseRecord, *targets: Target, max_failures: int = 1) -> dict[str, tuple[str, int]]:
    state = state_of(found, *targets, max_failures=max_failures)
    made = decide(document("0.1.1", rollout=asked(max_failures)), state, Progress(), NOON)
    replaced = [each for each in made.actions if isinstance(each, Replace)]
    return {each.target.rsplit("/", 1)[1]: (each.wave, each.spare) for each in replaced}


def test_a_wave_bears_as_many_failures_as_it_may_and_the_next_one_holds_the_version() -> None:
    one = noted(WANTED, "ws-1", 1)
    assert (one.failed, set(one.failures)) == (False, {f"{KEY} docker/local/ws-1"})
    two = noted(one, "ws-2", 1)
    assert two.verdict is not None
    assert (two.failed, two.verdict.reason) == (True, "RolloutFailed")
    assert noted(WANTED, "ws-1", 0).failed


def test_failures_of_other_waves_objects_and_images_do_not_count() -> None:
    first = noted(WANTED, "ws-1", 1)
    assert not noted(first, "ws-2", 1, wave="everyone").failed
    assert not noted(first, "ws-2", 1, key="default/another").failed
    assert not noted(noted(WANTED, "ws-1", 1, of=image("0.1.1", "an earlier one")), "ws-2", 1).failed
    assert not noted(first, "ws-1", 1).failed, "the same target again is one"


def test_a_target_that_failed_is_left_alone_and_told_and_nobody_else_waits_for_it() -> None:
    found = noted(WANTED, "ws-1", 1)
    old = target("ws-1", "0.1.0", labels=RING)
    state = state_of(found, old, target("ws-2", "0.1.1", labels=RING), target("ws-3", "0.1.0"))
    assert isinstance(state, Stale)
    (left,) = state.fleet.failed
    assert (left.target.name, left.reason) == ("ws-1", Reason.ROLLOUT_FAILED)
    assert left.cause == "It did not come up; `wsr resume` tries it again"
    assert [each.name for each in state.fleet.stale] == ["ws-3"]
    good = found.judged(verdict("Good", minute=2))
    rest = state_of(good, old, target("ws-2", "0.1.1", labels=RING))
    assert isinstance(rest, UpToDate)
    assert [each.target.name for each in rest.fleet.missed] == ["ws-1"], "so that nobody says Ready"


def test_what_was_begun_there_is_finished_all_the_same() -> None:
    found = noted(WANTED, "ws-1", 1)
    failed = failed_targets(KEY, found)
    begun = target("ws-1", "0.1.0", succession=succession(Phase.SWITCHING))
    assert [each.name for each in sort_fleet(found, [begun], failed=failed).stale] == ["ws-1"]


def test_another_image_is_tried_and_so_is_everything_when_it_is_resumed() -> None:
    found = noted(WANTED, "ws-1", 1)
    assert set(failed_targets(KEY, found)) == {"docker/local/ws-1"}
    assert failed_targets("default/another", found) == {}
    newer = found.templates["echo"].model_copy(update={"image_id": image("0.1.1", "rebuilt")})
    assert failed_targets(KEY, found.with_template("echo", newer)) == {}
    resumed = found.resumed(NOON)
    assert resumed.failures == {}
    assert merged(resumed, found).failures == {}, "a copy of before does not bring it back"
    assert merged(WANTED, found).failures == found.failures


def test_replacements_carry_what_their_wave_bears_but_never_all_of_it() -> None:
    ring = [target(f"ws-{number}", "0.1.0", labels=RING) for number in (1, 2, 3)]
    assert spares(WANTED, *ring, max_failures=2)["ws-1"] == ("canary", 2)
    assert spares(WANTED, *ring, max_failures=9)["ws-1"] == ("canary", 2), (
        "three failures of three prove nothing"
    )
    assert spares(WANTED, ring[0], max_failures=9)["ws-1"] == ("canary", 0)
    stopped = target("ws-4", "0.1.0", labels=RING, state=ContainerState.EXITED, running=AWAY)
    assert spares(WANTED, ring[0], stopped, max_failures=9)["ws-1"] == ("canary", 0)
    one_failed = noted(WANTED, "ws-3", 2)
    assert spares(one_failed, *ring, max_failures=2) == {"ws-1": ("canary", 2), "ws-2": ("canary", 2)}


def test_who_failed_stays_in_the_wave_that_it_was_in() -> None:
    targets = [target(f"ws-{number}", "0.1.0") for number in range(20)]
    half = {
        "maxUnavailable": 20,
        "waves": [{"name": "half", "percent": 50, "maxFailures": 3}, {"name": "rest"}],
    }
    wanted = document("0.1.1", rollout=half)

    def goes(found: ReleaseRecord) -> set[str]:
        state = classify(wanted, observation(record(), found, targets=Known(tuple(targets))))
        made = decide(wanted, state, Progress(), NOON)
        assert made.turn is not None
        return set(made.turn.open)

    first = goes(WANTED)
    gone = min(first)
    assert goes(noted(WANTED, gone.rsplit("/", 1)[1], 3, wave="half")) == first


def test_without_waves_the_first_failure_holds_the_version() -> None:
    wanted = document("0.1.1", rollout={"maxUnavailable": 2})
    state = classify(wanted, observation(record(), WANTED, targets=Known((target("ws-1", "0.1.0"),))))
    (made,) = [each for each in decide(wanted, state, Progress(), NOON).actions if isinstance(each, Replace)]
    assert (made.wave, made.spare) == ("", 0)
    assert noted(WANTED, "ws-1", made.spare).failed
