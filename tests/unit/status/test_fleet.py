"""What a status says of targets: how far a rollout is, whom it waits for, and who is left alone."""

from controller.api.conditions import Reason
from controller.model.container import ContainerState
from controller.model.observed import Known
from controller.model.target import Barred
from controller.status.summarize import STRAGGLERS_LISTED
from tests.unit.simulator.nouns import (
    AWAY,
    observation,
    record,
    target,
)
from tests.unit.simulator.virtual_time import NOON
from tests.unit.status.ground import FAILED, conditions, status


def test_a_rollout_counts_and_names_its_stragglers() -> None:
    seen = observation(
        record(),
        targets=Known(
            (
                target("ws-1"),
                target("ws-2", "0.0.9"),
                target("ws-3", "0.0.9", busy=True),
                target("ws-4", "0.0.9", hold="debugging"),
                target("ws-5", running=AWAY),
                target("ws-6", "0.0.9", running=AWAY, state=ContainerState.EXITED),
            )
        ),
    )
    made = status(seen)
    assert conditions(made)["Ready"] == (
        "False",
        "Rolling",
        "1 of 4 targets run 0.1.0; 1 stopped to be updated.",
    )
    rollout = made.rollout
    assert rollout is not None
    assert rollout.model_dump(
        exclude={"plan_hash", "started_time", "wave", "wave_proven_time"}, by_alias=False
    ) == {
        "total": 4,
        "up_to_date": 1,
        "updating": 2,
        "busy": 1,
        "held": 1,
        "unreachable": 0,
        "failed": 0,
        "unknown": 1,
        "progress": "1/4",
    }
    assert [(each.name, each.why) for each in made.stragglers] == [
        ("docker/local/ws-2", "waits for its turn"),
        ("docker/local/ws-3", "busy"),
        ("docker/local/ws-4", "held: debugging"),
        ("docker/local/ws-5", "has the image and has not reported: it is away"),
        ("docker/local/ws-6", "waits for its turn"),
    ]


def test_no_more_stragglers_are_listed_than_people_read() -> None:
    targets = tuple(target(f"ws-{index:02}", "0.0.9") for index in range(30))
    made = status(observation(record(), targets=Known(targets)))
    assert len(made.stragglers) == STRAGGLERS_LISTED
    assert made.stragglers[0].name == "docker/local/ws-00"


def test_a_straggler_keeps_the_time_since_it_lags() -> None:
    seen = observation(record(), targets=Known((target("ws-1", "0.0.9"),)))
    first = status(seen)
    assert status(seen, previous=first).stragglers[0].since == NOON


def test_targets_that_do_not_report_are_unknown_and_not_up_to_date() -> None:
    made = status(observation(record(), targets=Known((target(), target("ws-2", running=AWAY)))))
    text = "1 of 2 targets run 0.1.0; not reporting: docker/local/ws-2."
    assert conditions(made)["Ready"] == ("Unknown", "TargetsUnknown", text)
    assert conditions(made)["RolledOut"] == ("Unknown", "TargetsUnknown", text)


def test_stopped_targets_are_told_apart() -> None:
    stopped = target("ws-2", running=AWAY, state=ContainerState.EXITED)
    made = status(observation(record(), targets=Known((target(), stopped))))
    assert conditions(made)["Ready"][2] == "The only target runs 0.1.0; 1 stopped, to start with it."
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date) == (1, 1)


def test_a_release_without_targets_is_ready_and_says_so() -> None:
    made = status(observation(record()))
    assert conditions(made)["RolledOut"] == (
        "True",
        "NoTargets",
        "Version 0.1.0 is ready; no target runs.",
    )


def test_containers_of_no_listed_template_are_no_targets() -> None:
    foreign = target("ws-2", "0.0.9", template=None)
    made = status(observation(record(), targets=Known((target(), foreign))))
    assert conditions(made)["Ready"] == ("True", "UpToDate", "The only target runs 0.1.0; 1 left alone.")
    assert made.rollout is not None
    assert made.rollout.held == 0


def test_held_and_pinned_targets_keep_the_object_from_being_ready_without_an_alarm() -> None:
    targets = (
        target(),
        target("ws-2", "0.0.9", hold="mine"),
        target("ws-3", "0.0.9", pin="0.0.9"),
        target("ws-4", hold="runs it already"),
    )
    made = status(observation(record(), targets=Known(targets)))
    text = (
        "2 of 4 targets run 0.1.0; left alone as asked: docker/local/ws-2 (held: mine), "
        "docker/local/ws-3 (pinned to 0.0.9)."
    )
    assert conditions(made)["Ready"] == ("False", "TargetsHeld", text)
    assert conditions(made)["RolledOut"] == ("False", "TargetsHeld", text)
    assert not {"Reconciling", "Stalled"} & conditions(made).keys()
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date, made.rollout.held) == (2, 2, 2)


def test_a_target_that_cannot_be_replaced_stalls_with_its_name_and_the_cure() -> None:
    cure = "It was started with --rm: it vanishes when it stops. Create it without --rm."
    targets = (
        target(),
        target("ws-2", "0.0.9", shape_unsafe=cure),
        target("ws-3", "0.0.9", shape_unsafe=cure),
        target("ws-4", "0.0.9", hold="mine"),
    )
    made = conditions(status(observation(record(), targets=Known(targets))))
    text = (
        "1 of 4 targets run 0.1.0; left alone as asked: docker/local/ws-4 (held: mine); "
        f"docker/local/ws-2 cannot be replaced: {cure} 1 more cannot be replaced either."
    )
    assert made["Ready"] == made["RolledOut"] == ("False", "ShapeUnsafe", text)
    assert made["Stalled"] == ("True", "ShapeUnsafe", text)


def test_a_workload_that_somebody_else_writes_is_told_with_who_and_the_cure() -> None:
    cause = "helm set its image to ws/echo:1 after ws/echo:2 was set for it; set the image in the release's values"
    contested = target(
        "ws-2", "0.0.9", id="agents/Deployment/ws-2", barred=Barred(Reason.IMAGE_CONTESTED, cause)
    )
    made = conditions(status(observation(record(), targets=Known((target(), contested)))))
    text = f"1 of 2 targets run 0.1.0; agents/Deployment/ws-2 cannot be replaced: {cause}."
    assert made["RolledOut"] == ("False", "ImageContested", text)
    assert made["Stalled"] == ("True", "ImageContested", text)


def test_what_cannot_be_moved_is_told_only_when_all_else_is_done() -> None:
    targets = (target("ws-1", "0.0.9"), target("ws-2", "0.0.9", shape_unsafe="No."))
    made = conditions(status(observation(record(), targets=Known(targets))))
    assert made["Ready"][:2] == ("False", "Rolling")
    assert "Stalled" not in made
    behind = observation(record(verdict=None), targets=Known(targets[1:]))
    made = conditions(status(behind))
    assert made["Ready"] == (
        "False",
        "Promoting",
        "Version 0.1.0 runs wherever it may and is being promoted.",
    )
    assert made["RolledOut"][:2] == ("False", "ShapeUnsafe")


def test_a_rollout_that_only_waits_for_work_says_whose() -> None:
    targets = (target(), *(target(f"ws-{index}", "0.0.9", busy=True) for index in range(2, 7)))
    made = conditions(status(observation(record(), targets=Known(targets))))
    text = (
        "1 of 6 targets run 0.1.0; work in progress is waited for: docker/local/ws-2, docker/local/ws-3, "
        "docker/local/ws-4 and 2 more."
    )
    assert made["Ready"] == made["RolledOut"] == ("False", "Draining", text)
    assert made["Reconciling"][1] == "Draining"


def test_a_rollout_that_failed_under_pause_says_that_targets_stay() -> None:
    seen = observation(record(), FAILED, targets=Known((target("ws-1", "0.1.1"), target("ws-2", "0.1.0"))))
    made = conditions(status(seen, "0.1.1", rollout={"onFailure": "Pause"}))
    assert made["RolledOut"] == (
        "False",
        "Paused",
        (
            "It is failed. Version 0.1.1 is held; `wsr resume` tries it again. "
            "Targets stay as they are, as rollout.onFailure: Pause asks."
        ),
    )
    assert made["Stalled"][:2] == ("True", "RolloutFailed")
