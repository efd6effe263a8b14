"""`wsr plan` tells the whole way that the loop would take, and its hash names exactly that."""

from datetime import timedelta
from typing import Any

from controller.api.status import HistoryEntry
from controller.cli._plan import table
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.package import IndexFile, Release, ServedPackage
from controller.plan.preview import Preview, preview
from controller.plan.starting import approval_hash
from controller.plan.state import classify
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import (
    AWAY,
    image,
    inputs,
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

FAILED = record("0.1.1", verdict=verdict("Failed", minute=5, reason="RolloutFailed"))


def shown(
    seen: Observation,
    version: str = "0.1.0",
    history: tuple[HistoryEntry, ...] = (),
    annotations: dict[str, str] | None = None,
    **spec: Any,  # noqa: ANN401 -- any field of the spec
) -> Preview:
    asked = document(version, annotations=annotations, **spec)
    return preview(asked, seen, classify(asked, seen), history, now=NOON)


def test_a_new_version_is_built_published_and_rolled_with_the_busy_last() -> None:
    targets = (target("ws-1", busy=True), target("ws-2"), target("ws-3", hold="mine"))
    plan = shown(observation(record(), targets=Known(targets)), "0.1.1")
    assert (plan.state, plan.publish) == ("Absent", True)
    assert [(entry.name, entry.build, entry.reason) for entry in plan.templates] == [
        ("echo", True, "WheelChanged"),
        ("greeter", True, "WheelChanged"),
    ]
    assert plan.targets == ("docker/local/ws-2", "docker/local/ws-1")
    assert plan.busy == ("docker/local/ws-1",)
    assert plan.untouched == (("docker/local/ws-3", "held: mine"),)


def test_what_is_up_to_date_leads_to_nothing() -> None:
    plan = shown(observation(record(), targets=Known((target(),))))
    assert (plan.state, plan.publish, plan.targets) == ("UpToDate", False, ())
    assert {(entry.build, entry.reason) for entry in plan.templates} == {(False, "UpToDate")}


def test_a_version_that_the_index_serves_is_not_published_again() -> None:
    assert not shown(observation(index=on_index("0.1.0"))).publish


def test_a_missing_image_tells_what_was_there_before() -> None:
    entry = shown(observation(record(), images=Known({}))).templates[0]
    assert (entry.build, entry.reason, entry.before) == (True, "ImageMissing", image("0.1.0", "echo"))


def test_a_held_version_shows_the_rollback_and_nothing_else() -> None:
    targets = (target("ws-1", "0.1.1"), target("ws-2", "0.1.0"))
    images = Known(served(record(), FAILED, latest="0.1.0"))
    plan = shown(observation(record(), FAILED, targets=Known(targets), images=images), "0.1.1")
    assert (plan.state, plan.publish) == ("Held", False)
    assert plan.targets == ("docker/local/ws-1",)


def test_a_held_object_moves_nothing_and_says_why() -> None:
    seen = observation(record(), targets=Known((target("ws-1"),)))
    plan = shown(seen, "0.1.1", annotations={"runtime.molecule.ai/hold": "an audit"})
    assert (plan.state, plan.publish, plan.targets) == ("Held", False, ())
    assert not any(entry.build for entry in plan.templates)
    assert (
        plan.held
        == "The object is held: an audit. `wsr resume` lets it go on, or remove its annotation runtime.molecule.ai/hold."
    )
    assert shown(seen, "0.1.1").held is None


def test_a_target_that_is_pinned_or_unsafe_is_left_out_before_the_version_is_built() -> None:
    targets = (
        target("ws-1"),
        target("ws-2", pin="0.1.0"),
        target("ws-3", pin="0.1.1"),
        target("ws-4", shape_unsafe="No."),
    )
    plan = shown(observation(record(), targets=Known(targets)), "0.1.1")
    assert plan.targets == ("docker/local/ws-1", "docker/local/ws-3")
    assert plan.untouched == (("docker/local/ws-2", "pinned to 0.1.0"), ("docker/local/ws-4", "No."))


def test_a_hold_or_pin_of_what_is_no_target_is_named() -> None:
    annotations = {
        "runtime.molecule.ai/hold-targets": '{"ws-1": "mine", "ws-l": "a slip"}',
        "runtime.molecule.ai/pin-targets": '{"docker/local/ws-9": "0.1.0"}',
    }
    plan = shown(observation(record(), targets=Known((target("ws-1"),))), annotations=annotations)
    assert plan.unmatched == ("docker/local/ws-9", "ws-l")


def test_a_held_version_without_a_rollback_moves_nothing() -> None:
    seen = observation(FAILED, targets=Known((target("ws-1", "0.1.0"),)))
    assert shown(seen, "0.1.1").targets == ()


def test_a_lower_version_than_the_newest_shows_why_nothing_would_happen() -> None:
    plan = shown(observation(record(), index=on_index("0.1.0"), targets=Known((target(),))), "0.0.9")
    assert (plan.state, plan.publish, plan.targets) == ("Held", False, ())
    assert not any(entry.build for entry in plan.templates)
    held = plan.to_json()["held"]
    assert held.startswith("Version 0.0.9 is lower than 0.1.0, the newest final release")


def test_what_cannot_be_read_is_named() -> None:
    plan = shown(observation(record(), targets=AWAY))
    assert plan.unknown == ("targets: it is away",)
    assert plan.targets == ()


def test_the_hash_names_the_plan_and_not_who_is_busy() -> None:
    def of(*targets: Any, version: str = "0.1.1") -> str:  # noqa: ANN401 -- targets
        return shown(observation(record(), targets=Known(targets)), version).hash

    assert of(target("ws-1")) == of(target("ws-1", busy=True))
    assert of(target("ws-1")) != of(target("ws-1"), target("ws-2"))
    assert of(target("ws-1")) != of(target("ws-1"), version="0.1.2")


def test_the_last_release_that_reached_everyone_tells_how_long_the_next_will_take() -> None:
    history = (
        HistoryEntry(version="0.1.2", verdict="InProgress", started_time=NOON),
        HistoryEntry(
            version="0.1.1",
            verdict="Failed",
            started_time=NOON,
            finished_time=NOON + timedelta(seconds=5),
        ),
        HistoryEntry(
            version="0.1.0",
            verdict="Good",
            started_time=NOON,
            finished_time=NOON + timedelta(seconds=41.26),
        ),
    )
    assert shown(observation(record()), history=history).expected_seconds == 41.3
    assert shown(observation(record())).expected_seconds is None


def test_the_documented_fields_are_there() -> None:
    plan = shown(observation(record(), targets=Known((target("ws-1"),))), "0.1.1").to_json()
    assert {"hash", "templates", "waves", "busy", "adopts", "expectedSeconds"} <= plan.keys()
    assert plan["waves"] == [{"name": "everyone", "targets": ["docker/local/ws-1"]}]
    assert plan["adopts"] == ["docker/local/ws-1"]
    assert plan["templates"][0].keys() == {
        "name",
        "strategy",
        "build",
        "reason",
        "before",
        "after",
        "note",
        "updateAvailable",
    }


def test_a_change_that_is_only_shown_stands_beside_what_is_built_with_its_cure() -> None:
    now = {
        "echo": Known(template_inputs(sha("edited"))),
        "greeter": Known(template_inputs(inputs("greeter"))),
    }
    bare = record("0.1.1", templates={}, published_time=None, verdict=None)
    echo, greeter = shown(observation(record(), bare, templates=now), "0.1.1").to_json()["templates"]
    assert (echo["build"], echo["reason"]) == (True, "WheelChanged")
    assert (echo["before"], echo["after"]) == (
        f"runtime 0.1.0 (wheel {record().wheel.sha256[:12]})",
        f"runtime 0.1.1 (wheel {bare.wheel.sha256[:12]})",
    )
    update = echo["updateAvailable"]
    assert update["reason"] == "DockerfileChanged"
    assert update["before"].startswith("Dockerfile ")
    assert update["cure"].startswith("Add Template to build.rebuildOn of template echo")
    assert greeter["updateAvailable"] is None


def test_a_base_or_label_that_cannot_be_read_is_named() -> None:
    plan = shown(observation(record(), bases={"python:3": AWAY}, labels={"sha256:1": AWAY}))
    assert plan.unknown == ("base image python:3: it is away", "labels of image sha256:1: it is away")
    assert {entry.reason for entry in plan.templates} == {"UpToDate"}


def test_old_candidates_that_would_be_deleted_are_shown_and_change_no_hash() -> None:
    built = {"built_time": NOON - timedelta(days=20), "full_build": None}
    image = template_record("0.0.9", "echo", image="ws/echo:candidate-0", **built)
    old = record("0.0.9", templates={"echo": image}, published_time=None, verdict=verdict("Failed"))
    world = observation(record(), old)
    registry = {"mode": "Engine", "artifacts": "records", "prune": {"candidatesOlderThanDays": 14}}
    plan, without = shown(world, registry=registry), shown(world)
    reason = "0.0.9 failed and is not in use; built 20 days ago"
    assert plan.to_json()["prunes"] == [{"image": "ws/echo:candidate-0", "reason": reason}]
    assert f"ws/echo:candidate-0 would be deleted: {reason}" in table(plan)
    assert (without.prunes, without.hash) == ((), plan.hash)


def test_a_plan_that_cannot_go_on_publishes_nothing_and_says_before_what() -> None:
    plan = shown(observation(record(), index=AWAY), "0.1.1")
    assert (plan.state, plan.publish) == ("Blocked", False)
    assert plan.blocked == "The package index cannot be read: it is away"
    assert "Nothing would be published before that is mended." in table(plan)


def test_a_template_folder_that_cannot_be_read_is_named() -> None:
    seen = observation(
        record(), templates={"echo": AWAY, "greeter": Known(template_inputs(inputs("greeter")))}
    )
    assert shown(seen).unknown == ("template echo: it is away",)


def test_the_hash_of_a_plan_is_that_of_how_it_rolls() -> None:
    seen = observation(record(), targets=Known((target("ws-1"),)))
    assert shown(seen).hash == shown(seen).hash
    careful = {"maxUnavailable": 1, "drain": {"timeoutSeconds": 60}}
    assert shown(seen).hash != shown(seen, rollout=careful).hash


def test_a_yanked_version_is_adopted_and_said() -> None:
    file = IndexFile("x-0.1.1-py3-none-any.whl", "http://index/x.whl", sha("x"), yanked=True)
    index = Known(ServedPackage("x", {"0.1.1": Release("0.1.1", (file,))}))
    plan = shown(observation(record(), index=index), "0.1.1")
    assert (plan.state, plan.publish, plan.yanked) == ("Absent", False, True)
    assert "0.1.1 was yanked on the index, and would be adopted: exactly it is asked for." in table(plan)


def test_targets_are_told_by_wave_before_and_after_the_version_is_public() -> None:
    waves = [
        {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}},
        {"name": "everyone"},
    ]
    targets = Known((target("ws-1"), target("ws-2", labels={"ring": "canary"}), target("ws-3")))
    for seen in (
        observation(record(), targets=targets),
        observation(record(), record("0.1.1"), targets=targets),
    ):
        plan = shown(seen, "0.1.1", rollout={"waves": waves})
        assert plan.to_json()["waves"] == [
            {"name": "canary", "targets": ["docker/local/ws-2"]},
            {"name": "everyone", "targets": ["docker/local/ws-1", "docker/local/ws-3"]},
        ]
        assert table(plan)[-5:] == [
            "Wave canary: 1 targets.",
            "  docker/local/ws-2",
            "Wave everyone: 2 targets.",
            "  docker/local/ws-1",
            "  docker/local/ws-3",
        ]


def test_the_hash_of_what_is_built_and_proven_is_the_one_that_is_approved() -> None:
    rollout = {"maxUnavailable": 2, "approval": "Required"}
    seen = observation(record(), record("0.1.1", verdict=None), targets=Known((target("ws-1"),)))
    waits = shown(seen, "0.1.1", rollout=rollout)
    asked = document("0.1.1", rollout=rollout)
    assert waits.hash == approval_hash(asked, record("0.1.1"))
    assert waits.to_json()["awaitsApproval"] is True
    assert "Somebody has to approve it before anything is published or replaced." in table(waits)
    more = observation(
        record(), record("0.1.1", verdict=None), targets=Known((target("ws-1"), target("ws-2")))
    )
    assert shown(more, "0.1.1", rollout=rollout).hash == waits.hash, "targets come and go"
    assert shown(seen, "0.1.1").awaits_approval is False
    before = shown(observation(record()), "0.1.1", rollout=rollout)
    assert before.awaits_approval, "it will have to be"
    assert before.hash != waits.hash
