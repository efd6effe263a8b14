"""Templates that somebody else builds, or that may fail: what is due of each, and whom it keeps waiting."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.model.actions import Dispatch, Probe, Promote, Replace, Tag
from controller.model.observed import Known
from controller.model.record import Dispatched, HeldBack
from controller.plan.decide import AWAITED_RETRY
from controller.plan.gate import has_passed
from controller.plan.state import Stale, Unbuilt, Undelivered, Unproven, Unpublished, UpToDate, classify
from tests.unit.plan.test_plan_of_others import told
from tests.unit.simulator.ground import sha
from tests.unit.simulator.nouns import target, template_record, verdict
from tests.unit.simulator.shared import (
    BASE,
    ECHO,
    IMAGE,
    NEW,
    SHADOW,
    TELL,
    UNPUBLISHED,
    asked,
    delivered,
    planned,
    released,
    seen,
    shadow,
)
from tests.unit.simulator.virtual_time import NOON


def test_before_publication_a_shadow_is_built_on_what_is_served_and_probed() -> None:
    unbuilt = classify(asked(), seen(released(**UNPUBLISHED)))
    assert isinstance(unbuilt, Unbuilt)
    (build,) = unbuilt.builds
    assert (build.template, build.base, build.inputs_sha256) == ("greeter", BASE, "")
    waiting = seen(released(shadows={"greeter": shadow(proven=False)}, **UNPUBLISHED))
    (probe,) = planned(asked(), waiting).actions
    assert isinstance(probe, Probe)
    assert (probe.template, probe.digest, probe.delivered) == ("greeter", SHADOW, None)
    through = seen(released(shadows={"greeter": shadow()}, **UNPUBLISHED))
    assert isinstance(classify(asked(), through), Unpublished)


def test_a_shadow_that_is_gone_before_it_was_proven_is_built_again() -> None:
    lost = seen(
        released(shadows={"greeter": shadow(proven=False)}, **UNPUBLISHED),
        images={f"{IMAGE}:candidate-00000000": ""},
    )
    assert isinstance(classify(asked(), lost), Unbuilt)


def test_a_public_version_needs_no_shadow() -> None:
    assert isinstance(classify(asked(), seen(released())), Undelivered)


@pytest.mark.parametrize("gate", ["Required", "AllowFailure"])
def test_without_an_image_the_version_is_untested_and_stays(gate: str) -> None:
    nothing = seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""})
    state = classify(asked(gate), nothing)
    assert isinstance(state, Unproven)
    assert state.untested["greeter"] == (
        f"Template greeter: no image is served as {IMAGE}:latest yet to try 0.1.1 on."
        " Push a first one, or set the template's gate to AllowUntested."
    )
    ((_, failure),) = planned(asked(gate), nothing).failed
    assert (failure.reason, failure.retry_time) == ("Untested", None)


def test_where_the_moving_tag_was_deleted_a_version_is_tried_on_the_image_in_use() -> None:
    delivered_before = template_record("0.1.0", "greeter", image=f"{IMAGE}:0.1.0-nogit-0", image_id=NEW)
    before = released("0.1.0", templates={**released("0.1.0").templates, "greeter": delivered_before})
    deleted = {f"{IMAGE}:latest": ""}
    world = seen(before, released(**UNPUBLISHED), images=deleted)
    for gate in ("Required", "AllowUntested"):
        state = classify(asked(gate), world)
        assert isinstance(state, Unbuilt)
        assert [(build.template, build.base) for build in state.builds] == [("greeter", NEW)]
    note = told(asked(), world).templates[1].note
    assert note is not None
    assert note.startswith(f"the gate tries 0.1.1 on {IMAGE}:0.1.0-nogit-0; then team/greeter is told")
    gone = seen(before, released(**UNPUBLISHED), images={**deleted, f"{IMAGE}:0.1.0-nogit-0": ""})
    assert isinstance(classify(asked(), gone), Unproven)


def test_untested_may_be_allowed() -> None:
    nothing = seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""})
    assert isinstance(classify(asked("AllowUntested"), nothing), Unpublished)


def test_what_could_not_be_tried_on_one_image_is_tried_on_the_next() -> None:
    note = HeldBack(reason="Untested", message="It lacks x.", refused=(BASE,), time=NOON)
    held = released(held_back={"greeter": note}, **UNPUBLISHED)
    for gate in ("Required", "AllowFailure"):
        state = classify(asked(gate), seen(held))
        assert isinstance(state, Unproven), "that it could not be tried is no failure of the image"
        assert state.untested == {"greeter": "It lacks x."}
        assert not has_passed(asked(gate).spec.templates[1], held)
    assert isinstance(classify(asked(), seen(held, images={f"{IMAGE}:latest": NEW})), Unbuilt)


def test_whoever_builds_is_told_once_and_only_of_what_is_public() -> None:
    plan = planned(asked(), seen(released()))
    (dispatch,) = plan.actions
    assert isinstance(dispatch, Dispatch)
    assert dispatch.repository == "team/greeter"
    sent = Dispatched(correlation_id=dispatch.correlation_id, sent_time=NOON)
    told = seen(released(dispatches={"greeter": sent}))
    assert planned(asked(), told).actions == ()
    assert not any(
        isinstance(each, Dispatch) for each in planned(asked(), seen(released(**UNPUBLISHED))).actions
    )


def test_nobody_is_told_while_it_is_unknown_what_was_delivered() -> None:
    assert planned(asked(), seen(released(), found=None)).actions == ()


def test_the_same_release_has_the_same_correlation_id_and_no_other_one_has() -> None:
    first = Dispatch("0.1.1", "greeter", "a" * 64, "team/greeter", "x")
    assert first.correlation_id == replace(first, reason="y").correlation_id
    others = [
        replace(first, version="0.1.2"),
        replace(first, wheel_sha256="b" * 64),
        replace(first, template="echo"),
    ]
    assert len({first.correlation_id, *(each.correlation_id for each in others)}) == 4


def test_silence_is_told_after_its_time_and_looked_for_until_then() -> None:
    sent = Dispatched(correlation_id="abc", sent_time=NOON)
    told = seen(released(dispatches={"greeter": sent}))
    early, late = planned(asked(), told, minutes=9.9), planned(asked(), told, minutes=10)
    assert early.failed == ()
    assert early.look_again == NOON + timedelta(minutes=10)
    assert planned(asked(), told).look_again == NOON + AWAITED_RETRY
    ((action, failure),) = late.failed
    assert isinstance(action, Dispatch)
    assert (failure.reason, failure.retry_time) == ("DispatchSilent", None)
    assert failure.message == (
        "Template greeter: team/greeter was told of 0.1.1 (correlation id abc) and delivered no image within 600 s."
        " Look at its workflow runs; `wsr resume` tells it once more."
    )


def test_silence_stops_neither_targets_nor_tags_of_others() -> None:
    sent = Dispatched(correlation_id="abc", sent_time=NOON - timedelta(hours=9))
    old = (target("ws-1", "0.1.0"), target("ws-2", "0.1.0", template="greeter"))
    silent = released(dispatches={"greeter": sent}, verdict=None)
    rolling = planned(asked(), seen(silent, targets=Known(old)))
    assert [each.target for each in rolling.actions if isinstance(each, Replace)] == ["docker/local/ws-1"]
    new = (target("ws-1", "0.1.1"), target("ws-2", "0.1.0", template="greeter"))
    behind = seen(silent, targets=Known(new), images={f"{ECHO}:latest": ""})
    (promotion,) = planned(asked(), behind).actions
    assert isinstance(promotion, Promote)
    assert promotion.templates == ("echo",)


@pytest.mark.parametrize("labels", [{"version": "0.1.1"}, {"wheel_sha256": sha("wheel 0.1.1")}, {}])
def test_what_is_delivered_is_probed_by_digest_before_anything_else(labels: dict[str, str]) -> None:
    image = delivered(**labels)
    (probe,) = planned(asked(strategy="Follow"), seen(released(), found=(image,))).actions
    assert isinstance(probe, Probe)
    assert (probe.digest, probe.delivered) == (NEW, image)


@pytest.mark.parametrize(
    "labels", [{"version": "0.1.0"}, {"version": "0.1.1", "wheel_sha256": sha("another")}]
)
def test_what_says_that_it_is_another_version_is_not_probed(labels: dict[str, str]) -> None:
    assert planned(asked(strategy="Follow"), seen(released(), found=(delivered(**labels),))).actions == ()


def test_an_image_without_labels_that_was_there_before_is_not_probed() -> None:
    build = template_record("0.1.1", "greeter").full_build
    assert build is not None
    on_it = shadow().model_copy(update={"full_build": build.model_copy(update={"digest": NEW})})
    before = released(shadows={"greeter": on_it})
    assert planned(asked(strategy="Follow"), seen(before, found=(delivered(),))).actions == ()
    earlier = released(
        "0.1.0",
        templates={
            **released("0.1.0").templates,
            "greeter": template_record("0.1.0", "greeter", image=f"{IMAGE}:0.1.0-x", image_id=NEW),
        },
    )
    assert (
        planned(
            asked(strategy="Follow"),
            seen(earlier, released(verdict=verdict("Good", 1)), found=(delivered(),)),
        ).actions
        == ()
    )


def test_what_was_delivered_and_passed_gets_its_tag_and_then_rolls() -> None:
    untagged = template_record("0.1.1", "greeter", image=f"{IMAGE}:candidate-11111111", image_id=NEW)
    passed = released(templates={**released().templates, "greeter": untagged})
    world = seen(
        passed,
        found=(delivered(),),
        targets=Known((target("ws-2", "0.1.0", template="greeter"),)),
        images={f"{IMAGE}:candidate-11111111": ""},
    )
    (tag,) = planned(asked(strategy="Follow"), world).actions
    assert isinstance(tag, Tag)
    tagged = untagged.model_copy(update={"image": f"{IMAGE}:0.1.1-nogit-11111111"})
    ready = released(templates={**released().templates, "greeter": tagged})
    state = classify(asked(strategy="Follow"), seen(ready, found=(delivered(),), targets=world.targets))
    assert isinstance(state, Stale)
    assert (state.outstanding.deliveries, len(state.fleet.stale)) == ((), 1)


@pytest.mark.parametrize("build", [TELL, {"strategy": "Follow"}])
@pytest.mark.parametrize("tags", [(), ("latest",)], ids=["never ours", "ours before"])
def test_a_moving_tag_that_whoever_builds_moved_is_theirs_and_neither_contested_nor_moved(
    build: dict[str, Any], tags: tuple[str, ...]
) -> None:
    image = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-abc-00000000", image_id=BASE, tags=tags)
    through = released(templates={**released().templates, "greeter": image})
    for found, moved in (((), BASE), ((), NEW), ((delivered(version="0.1.1"),), NEW)):
        world = seen(through, found=found, images={image.image: image.identity, f"{IMAGE}:latest": moved})
        assert isinstance(classify(asked(**build), world), UpToDate)
        assert planned(asked(**build), world).actions == ()


def test_what_was_delivered_and_failed_is_told_and_another_one_is_tried() -> None:
    note = HeldBack(
        reason="GateFailed", message="Template greeter: turn 1 failed.", refused=(NEW,), time=NOON
    )
    refused = released(held_back={"greeter": note})
    plan = planned(asked(), seen(refused, found=(delivered(version="0.1.1"),)))
    assert plan.actions == ()
    ((_, failure),) = plan.failed
    assert (failure.reason, failure.message) == ("GateFailed", "Template greeter: turn 1 failed.")
    another = replace(delivered(version="0.1.1"), digest=SHADOW, image_id=SHADOW)
    (probe,) = planned(asked(), seen(refused, found=(another,))).actions
    assert isinstance(probe, Probe)


@pytest.mark.parametrize(("rebuild_on", "probes"), [(["Version"], 0), (["Version", "Template"], 1)])
def test_a_second_image_of_the_same_version_is_taken_where_templates_may_rebuild(
    rebuild_on: list[str], probes: int
) -> None:
    first = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-0", image_id=BASE)
    world = seen(
        released(templates={**released().templates, "greeter": first}), found=(delivered(version="0.1.1"),)
    )
    plan = planned(asked(strategy="Follow", rebuildOn=rebuild_on), world)
    assert len([each for each in plan.actions if isinstance(each, Probe)]) == probes
