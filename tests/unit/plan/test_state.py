"""The first thing that is not true yet names the state; what cannot be read never counts as absence."""

from typing import Any

import pytest

from controller.model.observed import Known
from controller.model.target import Phase
from controller.plan.state import (
    Absent,
    Blocked,
    Held,
    Stale,
    Unbuilt,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
    classify,
    image_for_new,
    last_known_good,
)
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import (
    AWAY,
    TREE,
    image,
    inputs,
    observation,
    on_index,
    record,
    release,
    served,
    succession,
    target,
    template_inputs,
    template_record,
    verdict,
)

UNPUBLISHED: dict[str, Any] = {"published_time": None, "verdict": None}


def test_a_version_that_nobody_knows_is_absent_and_to_be_built() -> None:
    assert classify(document(), observation()) == Absent(release=None, tree_sha256=TREE)


def test_a_version_that_the_index_serves_is_to_be_adopted_and_its_source_does_not_matter() -> None:
    state = classify(document(), observation(index=on_index("0.1.0"), source=AWAY))
    assert state == Absent(release=release("0.1.0"), tree_sha256=None)


@pytest.mark.parametrize(
    ("unread", "source"),
    [
        ({"records": AWAY}, "release records"),
        ({"index": AWAY}, "package index"),
        ({"source": AWAY}, "source"),
        ({"source": None}, "source"),
    ],
)
def test_without_a_record_what_cannot_be_read_blocks(unread: dict[str, Any], source: str) -> None:
    state = classify(document(), observation(**unread))
    assert isinstance(state, Blocked)
    assert state.source == source


@pytest.mark.parametrize(("unread", "source"), [("images", "images"), ("targets", "targets")])
def test_with_a_record_what_cannot_be_read_blocks(unread: str, source: str) -> None:
    state = classify(document(), observation(record(), **{unread: AWAY}))
    assert state == Blocked(source, "it is away")


def test_neither_source_nor_index_matter_once_the_version_is_public() -> None:
    seen = observation(record(), source=AWAY, index=AWAY)
    assert isinstance(classify(document(), seen), UpToDate)


def test_a_suspended_object_is_held_whatever_else_is_true() -> None:
    state = classify(document(suspend=True), observation(records=AWAY))
    assert isinstance(state, Held)
    assert state.by_owner


def test_an_object_with_a_hold_is_held_whatever_else_is_true() -> None:
    held = document(annotations={"runtime.molecule.ai/hold": "an audit"})
    state = classify(held, observation(record(), targets=Known((target("ws-1", "0.0.9"),))))
    assert isinstance(state, Held)
    assert state.by_owner
    assert state.message == (
        "The object is held: an audit. `wsr resume` lets it go on, or remove its annotation runtime.molecule.ai/hold."
    )


def test_a_failed_version_is_not_held_by_its_owner() -> None:
    state = classify(document(), observation(record(verdict=verdict("Failed"))))
    assert isinstance(state, Held)
    assert not state.by_owner


def test_a_source_that_moved_on_supersedes_a_version_that_is_not_public() -> None:
    seen = observation(record(**UNPUBLISHED), source=Known(sha("edited")))
    assert classify(document(), seen) == Absent(release=None, tree_sha256=sha("edited"))


def test_a_source_that_moved_on_changes_nothing_about_a_public_version() -> None:
    seen = observation(record(), source=Known(sha("edited")))
    assert isinstance(classify(document(), seen), UpToDate)


def test_an_unpublished_version_stays_when_its_source_cannot_be_read() -> None:
    assert isinstance(classify(document(), observation(record(**UNPUBLISHED), source=AWAY)), Unpublished)


def test_an_upload_whose_record_was_lost_is_adopted_when_the_source_moved_on() -> None:
    seen = observation(record(**UNPUBLISHED), source=Known(sha("edited")), index=on_index("0.1.0"))
    assert classify(document(), seen) == Absent(release=release("0.1.0"), tree_sha256=None)


def test_a_version_without_images_is_unbuilt() -> None:
    state = classify(document(), observation(record(templates={}, **UNPUBLISHED)))
    assert isinstance(state, Unbuilt)
    assert [build.template for build in state.builds] == ["echo", "greeter"]


def test_a_recorded_image_that_is_gone_is_unbuilt() -> None:
    state = classify(document(), observation(record(), images=Known({})))
    assert isinstance(state, Unbuilt)
    assert {build.reason for build in state.builds} == {"ImageMissing"}


def test_images_that_have_not_booted_are_unproven() -> None:
    templates = {
        "echo": template_record("0.1.0", "echo"),
        "greeter": template_record("0.1.0", "greeter", proven=False),
    }
    state = classify(document(), observation(record(templates=templates, **UNPUBLISHED)))
    assert isinstance(state, Unproven)
    assert state.templates == ("greeter",)


def test_a_proven_version_that_the_index_does_not_serve_is_unpublished() -> None:
    assert classify(document(), observation(record(**UNPUBLISHED))) == Unpublished(record(**UNPUBLISHED), ())


def test_candidates_and_lost_tags_lack_their_immutable_tags() -> None:
    templates = {
        "echo": template_record("0.1.0", "echo", image="ws/echo:candidate-00000000"),
        "greeter": template_record("0.1.0", "greeter"),
    }
    released = record(templates=templates)
    images = {"ws/echo:candidate-00000000": image("0.1.0", "echo"), "ws/greeter:x": image("0.1.0", "greeter")}
    state = classify(document(), observation(released, images=Known(images)))
    assert isinstance(state, Unpublished)
    assert state.untagged == ("echo", "greeter")


def test_targets_on_another_version_are_stale() -> None:
    state = classify(document(), observation(record(), targets=Known((target(version="0.0.9"),))))
    assert isinstance(state, Stale)
    assert [each.name for each in state.fleet.stale] == ["ws-1"]


def test_a_target_that_does_not_report_keeps_the_version_from_being_up_to_date() -> None:
    silent = target(running=AWAY)
    state = classify(document(), observation(record(), targets=Known((silent,))))
    assert isinstance(state, Stale)
    assert state.fleet.stale == ()
    assert state.fleet.unproven == (silent,)


@pytest.mark.parametrize("named", [None, "0.0.9"])
def test_moving_tags_that_name_something_else_are_unpromoted(named: str | None) -> None:
    images = served(record(), record("0.0.9"), latest=named)
    state = classify(document(), observation(record(), images=Known(images)))
    assert isinstance(state, Unpromoted)
    assert state.templates == ("echo", "greeter")


def test_tags_that_the_object_does_not_own_are_left_to_their_owner() -> None:
    templates = [
        {"name": name, "image": f"ws/{name}", "promote": False, "build": {"directory": name}}
        for name in ("echo", "greeter")
    ]
    seen = observation(record(), images=Known(served(record())))
    assert isinstance(classify(document(templates=templates), seen), UpToDate)


@pytest.mark.parametrize("version", ["0.2.0rc1", "0.2.0.dev3", "0.2.0+local"])
def test_no_tag_moves_for_a_dev_pre_or_local_release(version: str) -> None:
    seen = observation(record(version), images=Known(served(record(version))))
    assert isinstance(classify(document(version), seen), UpToDate)


def test_a_version_that_runs_everywhere_is_still_to_be_judged() -> None:
    images = {name: template_record("0.1.0", name, tags=("latest",)) for name in ("echo", "greeter")}
    state = classify(document(), observation(record(verdict=None, templates=images)))
    assert isinstance(state, Unpromoted)
    assert state.templates == ()


def test_going_back_to_an_earlier_version_is_judged_anew_so_that_rollbacks_return_to_it() -> None:
    earlier, later = record(), record("0.1.1", verdict=verdict("Good", minute=5))
    seen = observation(later, earlier)
    assert isinstance(classify(document(), seen), Unpromoted)
    judged = earlier.judged(verdict("Good", minute=9))
    assert isinstance(classify(document(), observation(later, judged)), UpToDate)


def test_the_versions_of_another_object_are_judged_by_that_object() -> None:
    earlier = record(publisher="elsewhere/other")
    later = record("0.1.1", publisher="elsewhere/other", verdict=verdict("Good", minute=5))
    assert isinstance(classify(document(), observation(later, earlier)), UpToDate)


# --- failed versions

FAILED = record("0.1.1", verdict=verdict("Failed", minute=5, reason="RolloutFailed"))


def held(*targets: Any, **changes: Any) -> Held:  # noqa: ANN401 -- targets, and any field of the observation
    spec = changes.pop("spec", {})
    fields = {"images": Known(served(record(), FAILED, latest="0.1.0")), "targets": Known(targets), **changes}
    state = classify(document("0.1.1", **spec), observation(record(), FAILED, **fields))
    assert isinstance(state, Held)
    return state


def test_a_failed_version_is_held_with_its_reason_and_the_way_out() -> None:
    state = held()
    assert state.reason == "RolloutFailed"
    assert state.message == "It is failed. Version 0.1.1 is held; `wsr resume` tries it again."


def test_a_rollback_moves_only_what_runs_the_failed_version_or_stands_in_the_middle() -> None:
    runs_it = target("ws-1", "0.1.1")
    never_moved = target("ws-2", "0.1.0")
    older = target("ws-3", "0.0.9")
    middle = target("ws-4", "0.0.9", succession=succession(Phase.SWITCHING))
    state = held(runs_it, never_moved, older, middle)
    assert state.fallback == record()
    assert state.fleet is not None
    assert state.fleet.stale == (middle, runs_it)
    assert state.fleet.up_to_date == (never_moved,)
    assert state.fleet.untouched == ()


def test_without_a_last_known_good_nothing_moves() -> None:
    seen = observation(FAILED, targets=Known((target("ws-1", "0.1.1"),)))
    state = classify(document("0.1.1"), seen)
    assert isinstance(state, Held)
    assert (state.fallback, state.fleet) == (None, None)


def test_pause_leaves_everything_where_it_is() -> None:
    state = held(
        target("ws-1", "0.1.1"),
        spec={"rollout": {"onFailure": "Pause"}},
        images=Known(served(record(), FAILED, latest="0.1.1")),
    )
    assert (state.fallback, state.fleet, state.retagged) == (None, None, ())


def test_a_rollback_waits_for_targets_that_cannot_be_read() -> None:
    state = held(targets=AWAY)
    assert state.fallback == record()
    assert state.fleet is None


def test_moving_tags_that_name_the_failed_version_are_to_be_taken_back() -> None:
    assert held(images=Known(served(record(), FAILED, latest="0.1.1"))).retagged == ("echo", "greeter")
    assert held().retagged == ()
    assert held(images=AWAY).retagged == ()


def test_a_failed_version_whose_source_was_corrected_before_publication_is_built_anew() -> None:
    failed = FAILED.model_copy(update={"published_time": None})
    seen = observation(failed, source=Known(sha("corrected")))
    assert isinstance(classify(document("0.1.1"), seen), Absent)


def test_the_last_known_good_is_the_one_judged_last_not_the_highest() -> None:
    records = {
        "0.1.0": record(verdict=verdict("Good", minute=9)),
        "0.1.1": record("0.1.1", verdict=verdict("Good", minute=5)),
        "0.1.2": record("0.1.2", verdict=verdict("Failed", minute=20)),
        "0.1.3": record("0.1.3", verdict=None),
    }
    assert last_known_good(records) == records["0.1.0"]
    assert last_known_good(records, but="0.1.0") == records["0.1.1"]
    assert last_known_good({}) is None


# --- which image new workspaces use


def test_new_workspaces_use_the_released_image_of_the_wanted_version() -> None:
    records = {"0.1.0": record(), "0.1.1": record("0.1.1", verdict=None)}
    assert image_for_new(records, "0.1.1", "echo") == "ws/echo:0.1.1-nocommi-00000000"


@pytest.mark.parametrize(
    "later",
    [
        record("0.1.1", verdict=None, published_time=None),
        FAILED,
        record("0.1.1", verdict=None, templates={}),
        record("0.1.1", templates={"echo": template_record("0.1.1", "echo", proven=False)}),
        record("0.1.1", templates={"echo": template_record("0.1.1", "echo", image="ws/echo:candidate-0")}),
    ],
    ids=["unpublished", "failed", "unbuilt", "unproven", "untagged"],
)
def test_until_it_is_released_they_use_the_last_known_good_one(later: Any) -> None:  # noqa: ANN401 -- a record
    records = {"0.1.0": record(), "0.1.1": later}
    assert image_for_new(records, "0.1.1", "echo") == "ws/echo:0.1.0-nocommi-00000000"


def test_without_any_release_there_is_no_image_for_them() -> None:
    assert image_for_new({}, "0.1.1", "echo") is None
    assert image_for_new({"0.1.0": record()}, "0.1.0", "other") is None


def test_the_inputs_of_a_template_that_cannot_be_read_change_nothing() -> None:
    seen = observation(
        record(), templates={"echo": AWAY, "greeter": Known(template_inputs(inputs("greeter")))}
    )
    assert isinstance(classify(document(), seen), UpToDate)


def test_a_rollback_returns_to_what_has_passed_the_gate_and_not_to_what_is_still_to_pass_it() -> None:
    used = template_record("0.1.0", "echo")
    candidate = used.model_copy(
        update={"image": "ws/echo:candidate-1", "image_id": f"sha256:{sha('candidate')}", "proven": False}
    )
    good = record(templates={**record().templates, "echo": candidate.following(used)})
    failed = record("0.1.1", verdict=verdict("Failed", minute=5))
    seen = observation(good, failed, targets=Known((target("ws-1", "0.1.1"), target("ws-2", "0.1.0"))))
    state = classify(document("0.1.1"), seen)
    assert isinstance(state, Held)
    assert state.fallback is not None
    assert state.fallback.templates["echo"] == used
    assert state.fleet is not None
    assert [each.name for each in state.fleet.stale] == ["ws-1"]
    assert image_for_new(seen.records.value, "0.1.0", "echo") == used.image  # type: ignore[union-attr] # it is Known
