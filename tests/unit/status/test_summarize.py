"""The status says what is true, why, and what is not known; kstatus holds whatever the state is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.conditions import Reason
from controller.api.status import Status
from controller.model.actions import Cascade
from controller.model.container import ContainerState
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import Failure, Progress
from controller.model.target import Barred
from controller.plan.decide import decide
from controller.plan.state import classify
from controller.status.invariants import broken
from controller.status.scope import Scope
from controller.status.summarize import STRAGGLERS_LISTED, summarize
from tests.unit.simulator.ground import TEMPLATES, document, sha
from tests.unit.simulator.machine import BASE_NAME
from tests.unit.simulator.nouns import (
    AWAY,
    TREE,
    full_build,
    observation,
    on_index,
    record,
    served,
    target,
    template_inputs,
    template_record,
    verdict,
)
from tests.unit.simulator.virtual_time import NOON

LATER = NOON + timedelta(minutes=1)
FAILED = record("0.1.1", verdict=verdict("Failed", minute=5, reason="RolloutFailed"))


def status(
    seen: Observation,
    version: str = "0.1.0",
    *,
    previous: Status | None = None,
    progress: Progress | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,  # noqa: ANN401 -- any field of the spec
) -> Status:
    """The status of a pass, as the loop makes it; sound whatever was seen."""
    asked = document(version, annotations=annotations, **spec)
    state = classify(asked, seen)
    known = progress or Progress()
    plan = decide(asked, state, known, NOON)
    starting = {action.key for action in plan.actions}
    announced = replace(known, in_flight=known.in_flight | starting)
    scope = Scope(asked, 3, seen, state, plan, announced)
    made = summarize(scope, previous or Status(), NOON if previous is None else LATER)
    assert not broken(made), broken(made)
    assert summarize(scope, made, LATER) == made, "the same pass gives the same status"
    return made


def conditions(made: Status) -> dict[str, tuple[str, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in made.conditions}


def test_an_object_that_is_up_to_date_says_so_and_nothing_else() -> None:
    made = status(observation(record(), targets=Known((target(), target("ws-2")))))
    assert conditions(made) == {
        "Ready": ("True", "UpToDate", "All 2 targets run 0.1.0."),
        "Published": ("True", "Served", "The index serves 0.1.0."),
        "ImagesBuilt": ("True", "Proven", "Every template has booted and answered with 0.1.0."),
        "RolledOut": ("True", "UpToDate", "All 2 targets run 0.1.0."),
    }
    assert made.observed_generation == 3
    assert made.last_known_good == "0.1.0"
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date, made.rollout.held) == (2, 2, 0)


def test_the_first_pass_says_that_work_is_under_way() -> None:
    made = status(observation())
    assert conditions(made) == {
        "Ready": ("False", "Building", "Version 0.1.0 is being built."),
        "Published": ("False", "Pending", "Version 0.1.0 is not public."),
        "ImagesBuilt": ("False", "Building", "Version 0.1.0 is being built."),
        "RolledOut": ("False", "Pending", "Version 0.1.0 is not ready to be rolled out."),
        "Reconciling": ("True", "Building", "Version 0.1.0 is being built."),
    }
    assert made.resolved_version is None


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
    assert rollout.model_dump(exclude={"started_time", "wave"}, by_alias=False) == {
        "total": 4,
        "up_to_date": 1,
        "updating": 2,
        "busy": 1,
        "held": 1,
        "unknown": 1,
        "progress": "1/4",
    }
    assert [(each.name, each.why) for each in made.stragglers] == [
        ("docker/local/ws-2", "waits for its turn"),
        ("docker/local/ws-3", "busy"),
        ("docker/local/ws-4", "held: debugging"),
        ("docker/local/ws-5", "runs the image and has not reported"),
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


def test_a_held_object_neither_reconciles_nor_stalls_and_goes_on_looking() -> None:
    seen = observation(record(), targets=Known((target(), target("ws-2", "0.0.9"))))
    made = status(seen, annotations={"runtime.molecule.ai/hold": "an audit"})
    text = "The object is held: an audit. Remove its annotation runtime.molecule.ai/hold to go on."
    assert conditions(made)["Ready"] == conditions(made)["RolledOut"] == ("False", "Held", text)
    assert not {"Reconciling", "Stalled"} & conditions(made).keys()
    assert made.held == text
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date) == (2, 1)


def test_several_failures_that_wait_for_somebody_are_counted() -> None:
    unbuilt = observation(record(templates={}, verdict=None, published_time=None))
    builds = decide(document(), classify(document(), unbuilt), Progress(), NOON).actions[0]
    assert isinstance(builds, Cascade)
    failures = {
        part.key: Failure("BuildFailed", f"Template {part.builds[0].template}: no.", None)
        for part in builds.parts
    }
    made = conditions(status(unbuilt, progress=Progress(frozenset(), failures)))
    assert made["Stalled"] == ("True", "BuildFailed", "Template echo: no. (and 1 more)")


@pytest.mark.parametrize(
    ("unread", "message", "published", "images_built", "rolled_out"),
    [
        (
            "records",
            "The release records cannot be read: it is away",
            ("Unknown", "Unknown"),
            ("Unknown", "Unknown"),
            ("False", "Pending"),
        ),
        (
            "images",
            "The images cannot be read: it is away",
            ("True", "Served"),
            ("True", "Proven"),
            ("False", "Pending"),
        ),
        (
            "targets",
            "The targets cannot be read: it is away",
            ("True", "Served"),
            ("True", "Proven"),
            ("Unknown", "Unknown"),
        ),
    ],
)
def test_what_cannot_be_read_is_unknown_and_is_looked_at_again(
    unread: str,
    message: str,
    published: tuple[str, str],
    images_built: tuple[str, str],
    rolled_out: tuple[str, str],
) -> None:
    made = conditions(status(observation(record(), **{unread: AWAY})))
    assert made["Ready"] == ("Unknown", "Unknown", message)
    assert made["Reconciling"][0] == "True"
    assert made["Published"][:2] == published
    assert made["ImagesBuilt"][:2] == images_built
    assert made["RolledOut"][:2] == rolled_out


def test_a_lower_version_than_the_newest_stalls_with_both_versions_and_the_cure() -> None:
    seen = observation(record(), index=on_index("0.1.0"), targets=Known((target(),)))
    made = conditions(status(seen, "0.0.9"))
    for type_ in ("Ready", "Published", "RolledOut"):
        assert made[type_][:2] == ("False", "VersionRefused")
    assert made["Stalled"][:2] == ("True", "VersionRefused")
    assert made["Published"][2].startswith("Version 0.0.9 is lower than 0.1.0, the newest final release ")
    assert made["Published"][2].endswith(" or, if 0.1.0 was a mistake, yank it on the index.")


def test_an_index_that_is_away_says_nothing_about_publication() -> None:
    made = conditions(status(observation(index=AWAY)))
    assert made["Published"] == ("Unknown", "Unknown", "The package index cannot be read: it is away")


def test_an_outage_takes_neither_the_image_for_new_workspaces_nor_the_last_known_good() -> None:
    before = status(observation(record()))
    during = status(observation(records=AWAY), previous=before)
    assert during.templates == before.templates
    assert during.last_known_good == "0.1.0"


def test_what_a_publication_waits_for_is_told_while_it_waits() -> None:
    seen = observation(record(published_time=None, verdict=None))
    key = f"publish/0.1.0/{sha('wheel 0.1.0')}"
    quiet = conditions(status(seen, progress=Progress(frozenset({key}))))
    assert quiet["Published"] == ("False", "Publishing", "Version 0.1.0 is being published.")
    waits = {key: "Waiting for the index: x.whl not listed yet", "publish/0.0.9/x": "old"}
    waits = dict(sorted(waits.items()))  # the other one first
    made = conditions(status(seen, progress=Progress(frozenset({key}), {}, waits)))
    told = ("False", "IndexNotVisible", "Waiting for the index: x.whl not listed yet.")
    assert (made["Published"], made["Ready"]) == (told, told)
    assert made["Reconciling"] == ("True", *told[1:])


def failing(key_of: Observation, failure: Failure, version: str = "0.1.0") -> Progress:
    asked = document(version)
    wanted = decide(asked, classify(asked, key_of), Progress(), NOON).actions
    return Progress(frozenset(), {action.key: failure for action in wanted})


def test_a_failure_that_is_tried_again_is_told_while_reconciling() -> None:
    failure = Failure("Building", "The engine is away; trying again.", LATER)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"] == ("False", "Building", "The engine is away; trying again.")
    assert made["Reconciling"][0] == "True"
    assert "Stalled" not in made


def test_a_failure_that_waits_for_somebody_stalls() -> None:
    failure = Failure("BuildFailed", "main.py:3: does not parse.", None)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"] == ("False", "BuildFailed", "main.py:3: does not parse.")
    assert made["Stalled"] == ("True", "BuildFailed", "main.py:3: does not parse.")
    assert "Reconciling" not in made


def test_nothing_is_stalled_while_something_else_goes_on() -> None:
    failure = Failure("BuildFailed", "No.", None)
    progress = failing(observation(), failure)
    busy = Progress(frozenset({"cascade/0.0.9/x"}), progress.failures)
    made = conditions(status(observation(), progress=busy))
    assert "Stalled" not in made


def test_the_failure_that_waits_for_somebody_is_told_before_one_that_is_tried_again() -> None:
    seen = observation(record(), targets=Known((target("ws-1", "0.0.9"), target("ws-2", "0.0.9"))))
    first, second = (
        action.key for action in decide(document(), classify(document(), seen), Progress(), NOON).actions
    )
    progress = Progress(
        frozenset(),
        {first: Failure("Rolling", "Again.", LATER), second: Failure("ImageContested", "Look at it.", None)},
    )
    made = status(seen, progress=progress)
    assert conditions(made)["RolledOut"] == ("False", "ImageContested", "Look at it.")
    assert [each.why for each in made.stragglers] == ["Again.", "Look at it."]


def test_credentials_that_are_missing_show_on_publication_only() -> None:
    seen = observation(record(published_time=None, verdict=None))
    failure = Failure("CredentialsMissing", "Set PYPI_TOKEN.", None)
    made = conditions(status(seen, progress=failing(seen, failure)))
    assert made["Published"] == ("False", "CredentialsMissing", "Set PYPI_TOKEN.")
    assert made["ImagesBuilt"][0] == "True"


def test_a_suspended_object_neither_reconciles_nor_stalls() -> None:
    made = conditions(status(observation(record()), suspend=True))
    assert made["Ready"][:2] == ("False", "Suspended")
    assert not {"Reconciling", "Stalled"} & made.keys()


# --- failed versions


def rolled_back(*targets: Any, **changes: Any) -> Status:  # noqa: ANN401 -- targets, and any field
    seen = observation(
        record(),
        FAILED,
        **{"images": Known(served(record(), FAILED, latest="0.1.0")), "targets": Known(targets), **changes},
    )
    return status(seen, "0.1.1")


def test_a_rollback_is_told_while_it_goes_on() -> None:
    made = conditions(rolled_back(target("ws-1", "0.1.1"), target("ws-2", "0.1.0")))
    assert made["Ready"] == (
        "False",
        "RolloutFailed",
        "It is failed. Version 0.1.1 is held; `wsr resume` tries it again.",
    )
    assert made["Reconciling"] == ("True", "RollingBack", "To bring back to 0.1.0: 1 of 2 targets.")
    assert "Stalled" not in made


def test_a_rollback_that_is_through_stalls_with_the_reason_of_the_failure() -> None:
    made = conditions(rolled_back(target("ws-1", "0.1.0")))
    assert made["Stalled"][:2] == ("True", "RolloutFailed")
    assert "Reconciling" not in made


def test_a_rollback_is_not_through_while_a_step_of_it_is_tried_again() -> None:
    targets = (target("ws-1", "0.1.1"),)
    seen = observation(
        record(),
        FAILED,
        images=Known(served(record(), FAILED, latest="0.1.0")),
        targets=Known(targets),
    )
    failure = Failure("Rolling", "The engine is away; trying again.", LATER)
    made = conditions(status(seen, "0.1.1", progress=failing(seen, failure, "0.1.1")))
    assert made["Reconciling"][:2] == ("True", "RollingBack")
    assert "Stalled" not in made


def test_a_rollback_is_not_through_while_the_targets_cannot_be_read() -> None:
    made = conditions(rolled_back(targets=AWAY))
    assert made["Reconciling"] == ("True", "RollingBack", "The targets cannot be read: it is away")


def test_counts_of_a_held_version_are_those_of_what_was_asked_for() -> None:
    made = rolled_back(target("ws-1", "0.1.0", busy=True), target("ws-2", "0.1.0"))
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date, made.rollout.busy) == (2, 0, 0)
    assert made.held == "It is failed. Version 0.1.1 is held; `wsr resume` tries it again."
    assert made.stragglers == ()


# --- details


def test_versions_and_bytes_are_those_of_the_record() -> None:
    made = status(observation(record()))
    assert made.resolved_version == "0.1.0"
    assert made.source is not None
    assert made.source.tree_sha256 == TREE
    assert made.package is not None
    assert made.package.wheel_sha256 == sha("wheel 0.1.0")


def test_a_template_tells_its_image_and_the_one_that_a_rollback_returns_to() -> None:
    later = record("0.1.1", verdict=None)
    made = status(observation(record(), later), "0.1.1").templates[0]
    assert made.state == "Proven"
    assert made.image == "ws/echo:0.1.1-nocommi-00000000"
    assert made.previous_image == "ws/echo:0.1.0-nocommi-00000000"


def test_a_candidate_is_not_for_new_workspaces() -> None:
    later = record(
        "0.1.1",
        verdict=None,
        published_time=None,
        templates={"echo": template_record("0.1.1", "echo", proven=False)},
    )
    first, second = status(observation(record(), later), "0.1.1").templates
    assert (first.state, first.image) == ("Unproven", "ws/echo:0.1.0-nocommi-00000000")
    assert (second.state, second.image) == ("Missing", "ws/greeter:0.1.0-nocommi-00000000")


def test_drift_that_the_document_does_not_act_on_shows_as_update_available() -> None:
    seen = observation(record(), templates={"echo": Known(template_inputs(sha("edited")))})
    echo, greeter = status(seen).templates
    assert (echo.state, echo.reason, echo.update_available) == (
        "UpdateAvailable",
        "DockerfileChanged",
        "DockerfileChanged",
    )
    assert echo.after == f"Dockerfile {template_inputs(sha('edited')).dockerfile_sha256[:12]}"
    assert echo.message == (
        "Add Template to build.rebuildOn of template echo to have it built from now on, or ask for this one build with "
        "annotation runtime.molecule.ai/rebuild."
    )
    assert (greeter.state, greeter.reason, greeter.message) == ("Proven", "WheelChanged", None)
    assert status(seen).is_true("Ready"), "nobody asked for it"


def test_an_update_waits_until_the_image_that_is_built_is_proven() -> None:
    unproven = record(templates={name: template_record("0.1.0", name, proven=False) for name in TEMPLATES})
    seen = observation(unproven, templates={"echo": Known(template_inputs(sha("edited")))})
    echo = status(seen).templates[0]
    assert (echo.state, echo.reason, echo.update_available) == (
        "Unproven",
        "WheelChanged",
        "DockerfileChanged",
    )


def test_the_base_of_a_full_build_is_told_and_one_that_cannot_be_read_is_named() -> None:
    built = full_build("echo", bases={BASE_NAME: f"sha256:{sha('base')}"})
    whole = record(templates={"echo": template_record("0.1.0", "echo", full_build=built)})
    alone = [{"name": "echo", "image": "ws/echo", "build": {"directory": "echo"}}]
    seen = observation(whole, bases={BASE_NAME: AWAY})
    echo = status(seen, templates=alone).templates[0]
    assert (echo.state, echo.base_digest) == ("Proven", f"sha256:{sha('base')}")
    assert echo.message == f"Base image {BASE_NAME} cannot be read: it is away"
    assert status(observation(record())).templates[0].base_digest is None


@pytest.mark.parametrize(
    ("unread", "rebuild_on", "what"),
    [
        ("templates", ["Version", "Template"], "template echo"),
        ("templates", ["Version", "Base"], "template echo"),
        ("bases", ["Version", "Base"], f"base image {BASE_NAME}"),
    ],
)
def test_nobody_says_ready_while_what_an_image_is_to_follow_cannot_be_read(
    unread: str, rebuild_on: list[str], what: str
) -> None:
    name = BASE_NAME if unread == "bases" else "echo"
    follows = [
        {"name": "echo", "image": "ws/echo", "build": {"directory": "echo", "rebuildOn": rebuild_on}},
        {"name": "greeter", "image": "ws/greeter", "build": {"directory": "greeter"}},
    ]
    made = conditions(status(observation(record(), **{unread: {name: AWAY}}), templates=follows))
    told = ("Unknown", "Unknown", f"The {what} cannot be read: it is away")
    assert made["Ready"] == told
    assert made["Reconciling"] == ("True", *told[1:])
    assert made["RolledOut"][0] == made["ImagesBuilt"][0] == "True", "what is known stays so"
    refused = replace(AWAY, stalled="CredentialsMissing")
    made = conditions(status(observation(record(), **{unread: {name: refused}}), templates=follows))
    assert made["Stalled"][:2] == ("True", "CredentialsMissing")
    assert "Reconciling" not in made


def test_what_no_image_is_to_follow_may_be_unread() -> None:
    seen = observation(record(), templates={"echo": AWAY}, bases={BASE_NAME: AWAY})
    assert conditions(status(seen))["Ready"][0] == "True"


def test_what_is_in_use_is_what_new_workspaces_get_while_the_next_image_is_not_proven() -> None:
    used = template_record("0.1.0", "echo")
    candidate = used.model_copy(
        update={"image": "ws/echo:candidate-1", "image_id": f"sha256:{sha('candidate')}", "proven": False}
    )
    waiting = record(
        templates={**record().templates, "echo": candidate.following(used)}, verdict=verdict("Good")
    )
    images = Known({**served(record(), latest="0.1.0"), candidate.image: candidate.identity})
    echo = status(observation(waiting, images=images)).templates[0]
    assert (echo.state, echo.image) == ("Unproven", used.image)


def test_a_message_of_several_lines_becomes_one() -> None:
    failure = Failure("BuildFailed", "one\n  two", None)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"][2] == "one two"


# --- times and history


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    before = status(observation())
    building = status(observation(record(templates={}, verdict=None, published_time=None)), previous=before)
    ready = building.condition("Ready")
    assert ready is not None
    assert ready.last_transition_time == NOON
    done = status(observation(record()), previous=before).condition("Ready")
    assert done is not None
    assert done.last_transition_time == LATER


REFUSED = Unknown("The registry wants a password. Give one.", NOON, stalled="CredentialsMissing")


@pytest.mark.parametrize("unread", ["records", "index", "source", "images", "targets"])
def test_what_only_a_person_can_make_readable_stalls_with_the_cure(unread: str) -> None:
    known = () if unread in {"index", "source"} else (record(),)
    made = status(observation(*known, **{unread: REFUSED}))
    ready, stalled = made.condition("Ready"), made.condition("Stalled")
    assert ready is not None
    assert stalled is not None
    assert (ready.status, ready.reason) == ("Unknown", "CredentialsMissing")
    assert (stalled.reason, stalled.message) == (ready.reason, ready.message)
    assert stalled.message.endswith("cannot be read: The registry wants a password. Give one.")
    assert made.condition("Reconciling") is None


@pytest.mark.parametrize("unread", ["records", "index", "source", "images", "targets"])
def test_what_may_pass_by_itself_does_not_stall(unread: str) -> None:
    known = () if unread in {"index", "source"} else (record(),)
    made = status(observation(*known, **{unread: AWAY}))
    assert made.condition("Stalled") is None
    reconciling = made.condition("Reconciling")
    assert reconciling is not None
    assert reconciling.reason == "Unknown"


def history(made: Status) -> list[tuple[str, str]]:
    return [(entry.version, entry.verdict) for entry in made.history]


def test_history_tells_what_was_asked_for_and_what_became_of_it() -> None:
    made = status(observation(record()))
    assert history(made) == [("0.1.0", "Good")]
    made = status(observation(record()), "0.1.1", previous=made)
    assert history(made) == [("0.1.1", "InProgress"), ("0.1.0", "Good")]
    made = status(observation(record()), "0.1.2", previous=made)
    assert history(made) == [("0.1.2", "InProgress"), ("0.1.1", "Superseded"), ("0.1.0", "Good")]


def test_a_failed_version_is_in_progress_again_once_it_is_resumed() -> None:
    failed = rolled_back(target("ws-1", "0.1.0"))
    assert history(failed) == [("0.1.1", "Failed")]
    assert failed.history[0].reason == "RolloutFailed"
    resumed = record("0.1.1", verdict=None)
    again = status(observation(record(), resumed), "0.1.1", previous=failed)
    assert history(again) == [("0.1.1", "InProgress")]
    assert again.history[0].finished_time is None


def test_history_keeps_the_last_ten() -> None:
    made = None
    for index in range(12):
        made = status(observation(), f"0.1.{index}", previous=made)
    assert made is not None
    assert len(made.history) == 10
    assert made.history[0].version == "0.1.11"


def test_a_status_survives_its_journey_through_json() -> None:
    made = status(observation(record(), targets=Known((target("ws-1", "0.0.9"),))))
    assert Status.model_validate_json(made.model_dump_json()) == made
