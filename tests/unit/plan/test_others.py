"""Templates that somebody else builds, or that may fail: what is due of each, and whom it keeps waiting."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Dispatch, Probe, Promote, Replace, Tag
from controller.model.delivery import DeliveredImage
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Plan, Progress
from controller.model.record import Dispatched, HeldBack, ReleaseRecord
from controller.model.template_record import FullBuild, TemplateRecord
from controller.plan.decide import AWAITED_RETRY, decide
from controller.plan.preview import Preview, preview
from controller.plan.state import Held, Stale, Unbuilt, Undelivered, Unproven, Unpublished, UpToDate, classify
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.machine import parts_of
from tests.unit.simulator.nouns import (
    AWAY,
    inputs,
    observation,
    record,
    served,
    target,
    template_record,
    verdict,
)
from tests.unit.simulator.virtual_time import NOON

IMAGE = "registry.example/greeter"
BASE, NEW, SHADOW = (f"sha256:{sha(name)}" for name in ("base", "new", "shadow"))
TELL = {"strategy": "Dispatch", "dispatch": {"repository": "team/greeter", "timeoutSeconds": 600}}
UNPUBLISHED: dict[str, Any] = {"published_time": None, "verdict": None}


def asked(gate: str = "Required", version: str = "0.1.1", **build: Any) -> WorkspaceRuntime:  # noqa: ANN401 -- any field
    """A document whose second template has this gate and build."""
    ours = {"name": "echo", "image": "registry.example/echo", "build": {"directory": "echo"}}
    other = {"name": "greeter", "image": IMAGE, "gate": gate, "build": build or TELL}
    registry = {"mode": "Remote", "artifacts": "registry.example/artifacts"}
    return document(version, templates=[ours, other], registry=registry)


def released(version: str = "0.1.1", **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    """A version whose own template is through with everything; nothing is recorded of the other."""
    echo = template_record(version, "echo", image=f"registry.example/echo:{version}-nogit-00000000")
    return record(version, **{"templates": {"echo": echo}, **changes})


def shadow(*, proven: bool = True) -> TemplateRecord:
    return template_record(
        "0.1.1", "greeter", image=f"{IMAGE}:candidate-00000000", image_id=SHADOW, proven=proven
    )


def seen(
    *records: ReleaseRecord,
    found: tuple[DeliveredImage, ...] | None = (),
    **changes: Any,  # noqa: ANN401 -- any field of an observation, and more `images`
) -> Observation:
    """A world with these records, where the second template's image is served and `found` was delivered."""
    latest = records[-1]
    images = {
        **served(*records),
        "registry.example/echo:latest": latest.templates["echo"].identity,
        f"{IMAGE}:latest": BASE,
        **{each.image: each.identity for each in latest.shadows.values()},
        **{each.reference: each.digest for each in found or ()},
        **changes.pop("images", {}),
    }
    deliveries = {"greeter": AWAY if found is None else Known(found)}
    kept = {name: image for name, image in images.items() if image}
    return observation(*records, images=Known(kept), deliveries=deliveries, **changes)


def delivered(**labels: str) -> DeliveredImage:
    return DeliveredImage(f"{IMAGE}:latest", NEW, NEW, **labels)


def planned(wanted: WorkspaceRuntime, world: Observation, *, minutes: float = 0.0) -> Plan:
    now = NOON + timedelta(minutes=minutes)
    return decide(wanted, classify(wanted, world), Progress(), now, targets=world.targets)


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
    state = classify(asked(), seen(held))
    assert isinstance(state, Unproven)
    assert state.untested == {"greeter": "It lacks x."}
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
    behind = seen(silent, targets=Known(new), images={"registry.example/echo:latest": BASE})
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


def lost(**changes: Any) -> Observation:  # noqa: ANN401 -- any field of an observation, and more `images`
    """A world where what was delivered five minutes before noon is in the registry under no name any more."""
    image = template_record(
        "0.1.1",
        "greeter",
        image=f"{IMAGE}:0.1.1-nogit-0",
        image_id=SHADOW,
        built_time=NOON - timedelta(minutes=5),
        reason="Delivered",
    )
    sent = changes.pop("sent", Dispatched(correlation_id="abc", sent_time=NOON - timedelta(hours=1)))
    through = released(
        templates={**released().templates, "greeter": image}, dispatches={"greeter": sent} if sent else {}
    )
    images = {image.image: "", **changes.pop("images", {})}
    return seen(through, images=images, **changes)


def test_whoever_built_an_image_that_was_deleted_is_told_again_and_has_its_time_again() -> None:
    plan = planned(asked(), lost())
    (dispatch,) = plan.actions
    assert isinstance(dispatch, Dispatch)
    assert dispatch.reason == "its image was deleted, and team/greeter builds it"
    assert plan.failed == ()
    told = lost(sent=Dispatched(correlation_id="abc", sent_time=NOON))
    early, late = planned(asked(), told, minutes=9.9), planned(asked(), told, minutes=10)
    assert (early.actions, early.failed, early.look_again) == ((), (), NOON + timedelta(minutes=10))
    ((action, failure),) = late.failed
    assert isinstance(action, Dispatch)
    assert failure.reason == "DispatchSilent"
    assert failure.message == (
        f"Template greeter: team/greeter was told of 0.1.1 after its image ({IMAGE}:0.1.1-nogit-0) was deleted"
        " (correlation id abc) and delivered no image within 600 s. Look at its workflow runs; `wsr resume` tells it"
        " once more."
    )


def test_an_image_that_was_deleted_and_is_only_followed_says_so_until_another_one_is_pushed() -> None:
    plan = planned(asked(strategy="Follow"), lost(sent=None))
    assert plan.actions == ()
    ((_, failure),) = plan.failed
    assert (failure.reason, failure.retry_time) == ("ImageGone", None)
    assert failure.message == (
        f"Template greeter: its image of 0.1.1, {IMAGE}:0.1.1-nogit-0@{SHADOW}, was deleted from the registry. What runs"
        " it goes on; nothing else can be brought to it. Push it again, or another one of 0.1.1."
    )
    (probe,) = planned(asked(strategy="Follow"), lost(sent=None, found=(delivered(version="0.1.1"),))).actions
    assert isinstance(probe, Probe)


def test_an_image_is_not_gone_while_the_registry_cannot_be_read() -> None:
    for build in ({"strategy": "Follow"}, TELL):
        plan = planned(asked(**build), lost(found=None))
        assert (plan.actions, plan.failed) == ((), ())


def test_an_image_that_is_there_without_its_tag_gets_it_again_and_nobody_is_told() -> None:
    (tag,) = planned(asked(), lost(images={f"{IMAGE}@{SHADOW}": SHADOW})).actions
    assert tag == Tag("0.1.1", ("greeter",), "this image passed and lacks its tag")


def test_targets_that_run_a_deleted_image_are_left_alone_and_no_other_one_is_brought_to_it() -> None:
    there = target("ws-2", "0.1.1", template="greeter", image_id=SHADOW)
    behind = target("ws-3", "0.1.0", template="greeter")
    state = classify(asked(), lost(targets=Known((there, behind))))
    assert isinstance(state, Undelivered)
    assert state.fleet.up_to_date == (there,)
    assert [(left.target.name, left.reason) for left in state.fleet.missed] == [("ws-3", "AwaitingDelivery")]


def test_a_deleted_image_stays_due_when_the_next_one_fails_and_may() -> None:
    note = HeldBack(
        reason="GateFailed", message="Template greeter: turn 1 failed.", refused=(NEW,), time=NOON
    )
    world = lost()
    assert isinstance(world.records, Known)
    refused = {
        version: record.holding_back("greeter", note) for version, record in world.records.value.items()
    }
    state = classify(asked("AllowFailure"), replace(world, records=Known(refused)))
    assert isinstance(state, Undelivered)


def test_what_is_told_after_a_delivery_is_dated_after_it_and_a_delivery_after_what_it_answers() -> None:
    ahead, behind = NOON + timedelta(hours=1), NOON - timedelta(hours=1)
    told = released().dispatched("greeter", Dispatched(correlation_id="a", sent_time=ahead))
    image = template_record("0.1.1", "greeter", built_time=NOON)
    answered = told.delivered("greeter", image)
    built = answered.templates["greeter"].built_time
    assert built is not None
    assert built > ahead
    again = answered.dispatched("greeter", Dispatched(correlation_id="a", sent_time=behind))
    assert again.dispatches["greeter"].sent_time > built


def failed_alone(reason: str = "GateFailed", refused: str = "") -> ReleaseRecord:
    """A version whose second template, which is built here, failed with its candidate."""
    candidate = template_record("0.1.1", "greeter", image=f"{IMAGE}:candidate-0", proven=False)
    note = HeldBack(
        reason=reason,
        message="Template greeter: it failed.",
        refused=(refused or candidate.identity,),
        time=NOON,
    )
    return released(templates={**released().templates, "greeter": candidate}, held_back={"greeter": note})


OURS = {"directory": "greeter"}


def test_a_template_that_failed_and_may_stays_behind_alone() -> None:
    old = (target("ws-1", "0.1.0"), target("ws-2", "0.1.0", template="greeter"))
    state = classify(asked("AllowFailure", **OURS), seen(failed_alone(), targets=Known(old)))
    assert isinstance(state, Stale)
    assert [each.id for each in state.fleet.stale] == ["docker/local/ws-1"]
    (left,) = state.fleet.missed
    assert (left.reason, left.cause) == ("TemplatesHeldBack", "held back: Template greeter: it failed")
    done = (target("ws-1", "0.1.1"), target("ws-2", "0.1.0", template="greeter"))
    assert isinstance(
        classify(asked("AllowFailure", **OURS), seen(failed_alone(), targets=Known(done))), UpToDate
    )


def with_one_in_use() -> ReleaseRecord:
    """A version whose second template has a proven image, and a newer one that was refused at the gate."""
    failed = failed_alone()
    refused = failed.templates["greeter"]
    good = template_record("0.1.1", "greeter", image=f"{IMAGE}:0.1.1-nogit-00000000", image_id=NEW)
    templates = {**failed.templates, "greeter": refused.model_copy(update={"previous": good})}
    return failed.model_copy(update={"templates": templates})


def test_an_image_that_was_refused_later_is_neither_rolled_nor_tagged_and_the_one_in_use_stays() -> None:
    running = target("ws-2", "0.1.1", template="greeter", image_id=NEW)
    world = seen(
        with_one_in_use(),
        targets=Known((target("ws-1", "0.1.1"), running)),
        images={f"{IMAGE}:latest": NEW, f"{IMAGE}:0.1.1-nogit-00000000": NEW},
    )
    assert isinstance(classify(asked("AllowFailure", **OURS), world), UpToDate)


@pytest.mark.parametrize("gone", [f"{IMAGE}:0.1.1-nogit-00000000", f"{IMAGE}:candidate-1"])
def test_the_image_in_use_of_a_template_that_was_refused_later_gets_its_lost_tag_again(gone: str) -> None:
    refused = with_one_in_use()
    greeter = refused.templates["greeter"]
    assert greeter.previous is not None
    used = greeter.previous.model_copy(update={"image": gone})
    templates = {**refused.templates, "greeter": greeter.model_copy(update={"previous": used})}
    world = seen(
        refused.model_copy(update={"templates": templates}),
        targets=Known((target("ws-1", "0.1.1"), target("ws-2", "0.1.0", template="greeter"))),
        images={f"{IMAGE}:latest": NEW, gone: NEW if "candidate" in gone else ""},
    )
    actions = planned(asked("AllowFailure", **OURS), world).actions
    (tag,) = [each for each in actions if isinstance(each, Tag)]
    assert tag == Tag("0.1.1", ("greeter",), "this image passed and lacks its tag")
    rolled = [each for each in actions if isinstance(each, Replace)]
    assert len(rolled) == (0 if "candidate" in gone else 1), "nobody is brought to what has no tag yet"


def left_out_of_a_later_version() -> tuple[ReleaseRecord, ReleaseRecord]:
    """Two versions: the second template has an image of the first one alone."""
    note = HeldBack(
        reason="BuildFailed", message="pip found nothing.", refused=(inputs("greeter"),), time=NOON
    )
    earlier = released(
        "0.1.0",
        templates={
            **released("0.1.0").templates,
            "greeter": template_record("0.1.0", "greeter", image=f"{IMAGE}:0.1.0-nogit-0", image_id=NEW),
        },
    )
    return earlier, released(held_back={"greeter": note}, verdict=verdict("Good", 1))


def left_out_world(**images: str) -> Observation:
    return seen(
        *left_out_of_a_later_version(),
        targets=Known((target("ws-1", "0.1.1"),)),
        templates={"greeter": Known(parts_of(inputs("greeter")))},
        images=images,
    )


def test_the_earlier_image_of_a_template_that_was_left_out_gets_its_lost_tag_again() -> None:
    wanted = asked("AllowFailure", **OURS)
    assert isinstance(classify(wanted, left_out_world()), UpToDate)
    world = left_out_world(**{f"{IMAGE}:0.1.0-nogit-0": "", f"{IMAGE}@{NEW}": NEW})
    (tag,) = planned(wanted, world).actions
    assert tag == Tag("0.1.0", ("greeter",), "this image passed and lacks its tag")


@pytest.mark.parametrize("rebuild_on", [["Version"], ["Version", "Template"]])
def test_a_template_that_was_refused_is_built_again_once_its_folder_was_corrected(
    rebuild_on: list[str],
) -> None:
    refused = failed_alone()
    full = FullBuild(image=f"{IMAGE}:full-0", digest=BASE, inputs_sha256=inputs("greeter"))
    templates = {
        **refused.templates,
        "greeter": refused.templates["greeter"].model_copy(update={"full_build": full}),
    }
    failed = refused.model_copy(update={"templates": templates})
    greeter = failed.templates["greeter"]
    there = {greeter.image: greeter.identity}
    wanted = asked("AllowFailure", **OURS, rebuildOn=rebuild_on)
    same = seen(failed, images=there)
    assert not isinstance(classify(wanted, same), Unbuilt)
    corrected = seen(
        failed,
        images=there,
        templates={"echo": Known(parts_of(inputs("echo"))), "greeter": Known(parts_of(sha("corrected")))},
    )
    state = classify(wanted, corrected)
    assert isinstance(state, Unbuilt)
    assert [(each.template, each.rebuild) for each in state.builds] == [("greeter", True)]


def test_a_template_that_must_pass_is_probed_again_when_its_gate_says_so_by_now() -> None:
    state = classify(asked("Required", **OURS), seen(failed_alone()))
    assert isinstance(state, Unproven)
    assert state.templates == ("greeter",)


def test_another_candidate_of_a_template_that_was_held_back_is_probed() -> None:
    state = classify(asked("AllowFailure", **OURS), seen(failed_alone(refused=NEW)))
    assert isinstance(state, Unproven)


def test_a_build_that_failed_is_tried_again_once_its_inputs_are_others() -> None:
    note = HeldBack(
        reason="BuildFailed", message="pip found nothing.", refused=(inputs("greeter"),), time=NOON
    )
    broken = released(held_back={"greeter": note}, **UNPUBLISHED)
    assert isinstance(classify(asked("AllowFailure", **OURS), seen(broken)), Unpublished)
    corrected = seen(
        broken,
        templates={"echo": Known(parts_of(inputs("echo"))), "greeter": Known(parts_of(sha("corrected")))},
    )
    assert isinstance(classify(asked("AllowFailure", **OURS), corrected), Unbuilt)


def test_a_build_that_failed_is_tried_again_once_for_each_request_that_asks_for_it() -> None:
    refused = (inputs("greeter"),)
    note = HeldBack(reason="BuildFailed", message="pip found nothing.", refused=refused, time=NOON)
    broken = released(held_back={"greeter": note}, **UNPUBLISHED)

    def requested(request: str) -> WorkspaceRuntime:
        plain = asked("AllowFailure", **OURS).model_dump(mode="json")
        plain["metadata"]["annotations"] = {"runtime.molecule.ai/rebuild": json.dumps({"greeter": request})}
        return WorkspaceRuntime.model_validate(plain)

    state = classify(requested("again"), seen(broken))
    assert isinstance(state, Unbuilt)
    (build,) = state.builds
    assert (build.template, build.reason, build.request, build.rebuild) == (
        "greeter",
        "Requested",
        "again",
        True,
    )
    preview_ = preview(requested("again"), seen(broken), state, (), now=NOON)
    assert [each.reason for each in preview_.templates] == ["UpToDate", "Requested"]

    failed_again = broken.holding_back("greeter", note.model_copy(update={"request": "again"}))
    through = seen(failed_again)
    state = classify(requested("again"), through)
    assert isinstance(state, Unpublished)
    assert [each.reason for each in preview(requested("again"), through, state, (), now=NOON).templates] == [
        "UpToDate",
        "HeldBack",
    ]
    assert isinstance(classify(requested("once more"), through), Unbuilt)
    assert isinstance(classify(asked("AllowFailure", **OURS), seen(broken.resumed(NOON))), Unbuilt)


def test_a_rollback_goes_to_a_version_that_every_template_has_an_image_of() -> None:
    whole = record(
        "0.1.0",
        templates={name: template_record("0.1.0", name) for name in ("echo", "greeter")},
        verdict=verdict("Good", 1),
    )
    without = released("0.1.1", verdict=verdict("Good", 2))
    failed = record("0.1.2", verdict=verdict("Failed", 3, "RolloutFailed"))
    state = classify(asked(version="0.1.2"), seen(whole, without, failed))
    assert isinstance(state, Held)
    assert state.fallback is not None
    assert state.fallback.version == "0.1.0"


def told(wanted: WorkspaceRuntime, world: Observation) -> Preview:
    return preview(wanted, world, classify(wanted, world), (), now=NOON)


@pytest.mark.parametrize(
    ("build", "then"),
    [
        (TELL, "team/greeter is told once 0.1.1 is public, and builds the image."),
        ({"strategy": "Follow"}, "whoever builds the image is waited for once 0.1.1 is public."),
    ],
)
def test_a_plan_says_who_builds_the_image_of_others(build: dict[str, Any], then: str) -> None:
    entry = told(asked(**build), seen(released(**UNPUBLISHED))).templates[1]
    assert (entry.strategy, entry.build, entry.reason) == (build["strategy"], False, "AwaitingDelivery")
    assert entry.note == f"the gate tries 0.1.1 on {IMAGE}:latest; then {then}"
    public = told(asked(**build), seen(released())).templates[1]
    assert (public.build, public.reason, public.note) == (False, "AwaitingDelivery", then)
    there = released(templates={**released().templates, "greeter": template_record("0.1.1", "greeter")})
    entry = told(asked(**build), seen(there)).templates[1]
    assert (entry.build, entry.reason, entry.note) == (False, "UpToDate", None)


def test_a_plan_says_that_whoever_builds_was_told() -> None:
    sent = Dispatched(correlation_id="abc", sent_time=NOON)
    entry = told(asked(), seen(released(dispatches={"greeter": sent}))).templates[1]
    assert entry.note == "team/greeter was told of 0.1.1 and builds the image (correlation id abc)."


def test_a_plan_of_a_version_that_nothing_can_try_publishes_nothing() -> None:
    plan = told(asked(), seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""}))
    message = (
        f"Template greeter: no image is served as {IMAGE}:latest yet to try 0.1.1 on."
        " Push a first one, or set the template's gate to AllowUntested."
    )
    assert (plan.publish, plan.blocked) == (False, message)
    assert (plan.templates[1].reason, plan.templates[1].note) == ("Untested", message)
    allowed = told(asked("AllowUntested"), seen(released(**UNPUBLISHED), images={f"{IMAGE}:latest": ""}))
    assert (allowed.publish, allowed.blocked) == (True, None)


def test_the_hash_of_a_plan_is_that_of_who_builds() -> None:
    world = seen(released(**UNPUBLISHED))
    elsewhere = {**TELL, "dispatch": {"repository": "team/other"}}
    plans = [told(asked(**build), world) for build in (TELL, elsewhere, {"strategy": "Follow"})]
    assert len({plan.hash for plan in plans}) == 3
    assert told(asked(), world).hash == plans[0].hash


def test_targets_of_an_image_that_is_awaited_would_follow_it() -> None:
    world = seen(released(**UNPUBLISHED), targets=Known((target("ws-1", "0.1.0", template="greeter"),)))
    assert told(asked(), world).targets == ("docker/local/ws-1",)
