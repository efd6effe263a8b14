"""One repository that tells nothing stops what depends on its images, and nothing that depends on others'."""

from dataclasses import replace
from typing import Any

import pytest

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Judge, Promote, Replace
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import Progress
from controller.model.record import ReleaseRecord
from controller.plan.decide import BLOCKED_RETRY, decide
from controller.plan.preview import preview
from controller.plan.state import Blocked, Stale, Unbuilt, Unproven, Unpublished, UpToDate, classify
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, observation, record, served, target, template_record
from tests.unit.simulator.shared import IMAGE, asked, released, shadow
from tests.unit.simulator.shared import seen as seen_of_others
from tests.unit.simulator.virtual_time import NOON

REFUSED = "ws/echo:latest"
GREETER = "ws/greeter:latest"
TEXT = f"{REFUSED}: it is away"
REFUSES = replace(AWAY, stalled="CredentialsMissing")
UNPUBLISHED: dict[str, Any] = {"published_time": None, "verdict": None}


def seen(*records: ReleaseRecord, **changes: Any) -> Observation:  # noqa: ANN401 -- any field
    """A world in which nothing is told of the first template's images."""
    images = {
        reference: image
        for reference, image in served(*records, latest=records[-1].version).items()
        if not reference.startswith("ws/echo:")
    }
    return observation(*records, **{"images": Known(images), "unread": {REFUSED: AWAY}, **changes})


def actions(wanted: WorkspaceRuntime, world: Observation) -> list[object]:
    state = classify(wanted, world)
    plan = decide(wanted, state, Progress(), NOON, targets=world.targets, records=world.records)
    return list(plan.actions)


def test_an_image_that_is_not_told_of_is_not_missing_and_one_that_is_not_there_is() -> None:
    unpublished = record(
        templates={name: template_record("0.1.0", name) for name in ("echo", "greeter")}, **UNPUBLISHED
    )
    state = classify(document(), seen(unpublished, images=Known({})))
    assert isinstance(state, Unbuilt)
    assert [build.template for build in state.builds] == ["greeter"]


def test_the_others_are_proven_meanwhile() -> None:
    unproven = {name: template_record("0.1.0", name, proven=False) for name in ("echo", "greeter")}
    state = classify(document(), seen(record(templates=unproven, **UNPUBLISHED)))
    assert isinstance(state, Unproven)
    assert state.templates == ("greeter",)


def test_nothing_is_published_before_all_images_are_known() -> None:
    unpublished = record(**UNPUBLISHED)
    assert isinstance(classify(document(), observation(unpublished)), Unpublished)
    assert classify(document(), seen(unpublished)) == Blocked("images", TEXT)


def test_the_targets_of_the_others_go_on_and_its_own_wait() -> None:
    old, new = record("0.1.0"), record("0.1.1", verdict=None)
    targets = Known((target("ws-1", template="echo"), target("ws-2", template="greeter")))
    world = seen(old, new, targets=targets)
    state = classify(document("0.1.1"), world)
    assert isinstance(state, Stale)
    assert [(left.target.name, left.cause) for left in state.fleet.missed] == [
        ("ws-1", f"template echo: its images cannot be read: {TEXT}")
    ]
    (only,) = actions(document("0.1.1"), world)
    assert isinstance(only, Replace)
    assert only.target == "docker/local/ws-2"


def test_no_tag_moves_and_no_verdict_falls_before_its_own_targets_have_gone_on() -> None:
    old, new = record("0.1.0"), record("0.1.1", verdict=None)
    targets = Known((target("ws-1", template="echo"), target("ws-2", "0.1.1", template="greeter")))
    images = Known({**served(new), "ws/greeter:latest": old.templates["greeter"].identity})
    world = seen(old, new, targets=targets, images=images)
    assert classify(document("0.1.1"), world) == Blocked("images", TEXT)
    assert actions(document("0.1.1"), world) == []
    plan = decide(document("0.1.1"), Blocked("images", TEXT), Progress(), NOON)
    assert plan.look_again == NOON + BLOCKED_RETRY


def test_tags_of_the_others_move_once_every_target_has_proven_the_release_but_no_verdict_falls() -> None:
    noted = {name: template_record("0.1.1", name, tags=("latest",)) for name in ("echo", "greeter")}
    old, new = record("0.1.0"), record("0.1.1", verdict=None, templates=noted)
    targets = Known((target("ws-1", "0.1.1", template="echo"), target("ws-2", "0.1.1", template="greeter")))
    behind = {**served(new), "ws/greeter:latest": old.templates["greeter"].identity}
    behind = {name: image for name, image in behind.items() if not name.startswith("ws/echo:")}
    (only,) = actions(document("0.1.1"), seen(old, new, targets=targets, images=Known(behind)))
    assert isinstance(only, Promote)
    assert only.templates == ("greeter",)
    level = seen(old, new, targets=targets)
    assert classify(document("0.1.1"), level) == Blocked("images", TEXT)
    told = replace(level, images=Known(served(old, new, latest="0.1.1")), unread={})
    assert [type(each) for each in actions(document("0.1.1"), told)] == [Judge]


def test_what_ran_everywhere_is_not_up_to_date_while_it_cannot_be_said_what_is_served() -> None:
    targets = Known((target("ws-1"), target("ws-2", template="greeter")))
    assert isinstance(classify(document(), observation(record(), targets=targets)), UpToDate)
    assert classify(document(), seen(record(), targets=targets)) == Blocked("images", TEXT)


@pytest.mark.parametrize("published", [True, False])
def test_nobody_is_told_to_build_and_nothing_untested_is_claimed_of_an_image_that_is_not_told_of(
    *, published: bool
) -> None:
    release = released() if published else released(**UNPUBLISHED)
    untold = {f"{IMAGE}:latest": AWAY}
    world = replace(seen_of_others(release, images={f"{IMAGE}:latest": ""}), unread=untold)
    assert classify(asked(), world) == Blocked("images", f"{IMAGE}:latest: it is away")


def test_a_preview_names_what_is_not_told_of() -> None:
    world = seen(record())
    shown = preview(document(), world, classify(document(), world), (), now=NOON)
    assert f"image {REFUSED}: it is away" in shown.unknown


def test_a_version_is_published_without_knowing_what_others_serve_once_a_shadow_has_passed() -> None:
    release = released(shadows={"greeter": shadow()}, **UNPUBLISHED)
    world = replace(seen_of_others(release), unread={f"{IMAGE}:latest": AWAY})
    assert isinstance(classify(asked(), world), Unpublished)


@pytest.mark.parametrize(
    ("others", "stalled"),
    [({}, "CredentialsMissing"), ({GREETER: REFUSES}, "CredentialsMissing"), ({GREETER: AWAY}, None)],
    ids=["told", "refuses too", "away"],
)
def test_it_waits_for_a_person_only_where_every_repository_does(
    others: dict[str, Unknown], stalled: str | None
) -> None:
    state = classify(document(), seen(record(**UNPUBLISHED), unread={REFUSED: REFUSES, **others}))
    assert isinstance(state, Blocked)
    assert state.stalled == stalled
