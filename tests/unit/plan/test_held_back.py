"""A template that failed and may stays behind alone, until something else takes the place of what failed."""

import json

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Replace, Tag
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import HeldBack, ReleaseRecord
from controller.model.template_record import FullBuild
from controller.plan.preview import preview
from controller.plan.state import Held, Stale, Unbuilt, Undelivered, Unproven, Unpublished, UpToDate, classify
from tests.unit.simulator.box import parts_of
from tests.unit.simulator.ground import sha
from tests.unit.simulator.nouns import AWAY, inputs, record, target, template_record, verdict
from tests.unit.simulator.shared import BASE, IMAGE, NEW, UNPUBLISHED, asked, planned, released, seen
from tests.unit.simulator.virtual_time import NOON


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


def test_a_tag_of_it_that_cannot_be_read_is_not_taken_for_lost() -> None:
    name = f"{IMAGE}:0.1.1-nogit-00000000"
    world = seen(
        with_one_in_use(),
        targets=Known((target("ws-1", "0.1.1"),)),
        images={f"{IMAGE}:latest": NEW, name: ""},
        unread={name: AWAY},
    )
    assert planned(asked("AllowFailure", **OURS), world).actions == ()


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


def test_nobody_waits_for_the_tag_of_an_earlier_image() -> None:
    earlier, later = left_out_of_a_later_version()
    name = f"{IMAGE}:candidate-1"
    earlier = earlier.with_template(
        "greeter", earlier.templates["greeter"].model_copy(update={"image": name})
    )
    behind = (target("ws-1", "0.1.1"), target("ws-2", "0.0.9", template="greeter"))
    templates = {"greeter": Known(parts_of(inputs("greeter")))}
    world = seen(earlier, later, targets=Known(behind), templates=templates)
    state = classify(asked("AllowFailure", **OURS), world)
    assert isinstance(state, Undelivered)
    (delivery,) = state.outstanding.deliveries
    assert (delivery.ready, delivery.untagged) == (True, "0.1.0")
    assert [left.reason for left in state.fleet.missed] == ["TemplatesHeldBack"]


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
