"""Each reason to build an image, with what was before and after; the first that builds is why."""

from collections.abc import Sequence
from typing import Any

import pytest

from controller.api.v1alpha1 import Template
from controller.model.actions import TemplateBuild
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.changes import build_needed, change_of, changes_of, cure_of, update_of
from controller.plan.changes.change import Change, Question
from controller.plan.changes.labels import labels_of
from controller.plan.full_builds import answered, last_full_build, released_before
from tests.unit.simulator.box import BASE_NAME
from tests.unit.simulator.ground import TEMPLATES, document, sha
from tests.unit.simulator.nouns import (
    AWAY,
    full_build,
    image,
    inputs,
    observation,
    record,
    served,
    template_inputs,
    template_record,
)

ECHO = document().spec.templates[0]
OLD_BASE, NEW_BASE = f"sha256:{sha('old base')}", f"sha256:{sha('new base')}"
SMALL = {"requirements_sha256": sha("1"), "requirements": ("small==1.0", "same")}
NOW = template_inputs(inputs("echo"), **SMALL)
"""What the folder holds, and what the full build of these tests was made from."""
BUILT = full_build("echo", inputs=NOW, bases={BASE_NAME: OLD_BASE}, request="CVE-2026-1")
HERE = record(templates={"echo": template_record("0.1.0", "echo", full_build=BUILT)})


def rebuilding_on(*words: str) -> Template:
    return ECHO.model_copy(
        update={"build": ECHO.build.model_copy(update={"rebuild_on": ["Version", *words]})}
    )


def question(**changes: Any) -> Question:  # noqa: ANN401 -- any field
    fields = {
        "template": "echo",
        "version": "0.1.0",
        "record": HERE,
        "images": served(HERE),
        "inputs": NOW,
        "full_build": BUILT,
        "bases": {BASE_NAME: OLD_BASE},
        "labels": {image("0.1.0", "echo"): labels_of(HERE)},
        **changes,
    }
    return Question(**fields)


def edited(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of the inputs
    return {"inputs": NOW.model_copy(update={"sha256": sha("edited"), **changes})}


def of(asked: Question, template: Template = ECHO) -> Change | None:
    return change_of(changes_of(template, asked))


def test_an_image_that_is_there_with_the_wheel_and_the_inputs_needs_nothing() -> None:
    assert changes_of(ECHO, question()) == ()


BARE = record(templates={})
WHEEL = f"runtime 0.1.0 (wheel {BARE.wheel.sha256[:12]})"
IMAGE = image("0.1.0", "echo")

TABLE: Sequence[tuple[str, dict[str, Any], Change]] = [
    (
        "a wheel that no image carries",
        {"record": BARE},
        Change("WheelChanged", None, WHEEL),
    ),
    (
        "a version that is not even recorded",
        {"record": None, "version": "0.1.1", "earlier": HERE},
        Change("WheelChanged", WHEEL, "runtime 0.1.1"),
    ),
    (
        "a recorded image that nothing serves",
        {"images": {}},
        Change("ImageMissing", IMAGE, None),
    ),
    (
        "a recorded image that another repository serves alone",
        {"images": {"ws/greeter:same": IMAGE}},
        Change("ImageMissing", IMAGE, None),
    ),
    (
        "an image without labels",
        {"labels": {IMAGE: {}}},
        Change(
            "LabelsMissing",
            f"version 0.1.0, wheel {HERE.wheel.sha256[:12]}, content {HERE.content_sha256[:12]}",
            f"{IMAGE[:19]}: no labels of ours",
        ),
    ),
    (
        "an image of this version with another wheel",
        {"labels": {IMAGE: {**labels_of(HERE), "ai.molecule.runtime.wheel-sha256": sha("theirs")}}},
        Change(
            "LabelsMissing",
            f"version 0.1.0, wheel {HERE.wheel.sha256[:12]}, content {HERE.content_sha256[:12]}",
            f"{IMAGE[:19]}: version 0.1.0, wheel {sha('theirs')[:12]}, content {HERE.content_sha256[:12]}",
        ),
    ),
    (
        "an image that somebody put under the recorded name",
        {
            "images": {
                **served(HERE),
                HERE.templates["echo"].image: f"sha256:{sha('theirs')}",
                "ws/echo:other": IMAGE,
            },
            "labels": {f"sha256:{sha('theirs')}": {"ai.molecule.runtime.version": "0.0.9"}},
        },
        Change(
            "LabelsMissing",
            f"version 0.1.0, wheel {HERE.wheel.sha256[:12]}, content {HERE.content_sha256[:12]}",
            f"sha256:{sha('theirs')[:12]}: version 0.0.9",
        ),
    ),
    (
        "a Dockerfile that was edited",
        edited(dockerfile_sha256=sha("another")),
        Change(
            "DockerfileChanged",
            f"Dockerfile {NOW.dockerfile_sha256[:12]}",
            f"Dockerfile {sha('another')[:12]}",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "another file of the folder, or a build argument",
        edited(rest_sha256=sha("another")),
        Change(
            "TemplateSourceChanged",
            f"files {NOW.rest_sha256[:12]}",
            f"files {sha('another')[:12]}",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "a folder whose full build an earlier release made",
        {"full_build": BUILT.model_copy(update={"inputs": None}), **edited()},
        Change(
            "TemplateSourceChanged",
            f"files {inputs('echo')[:12]}",
            f"files {sha('edited')[:12]}",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "other packages in requirements.txt",
        edited(requirements_sha256=sha("2"), requirements=("small==2.0", "same", "more")),
        Change(
            "RequirementsChanged",
            "small==1.0",
            "small==2.0, more",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "another comment in requirements.txt",
        edited(requirements_sha256=sha("2")),
        Change(
            "RequirementsChanged",
            f"requirements.txt {sha('1')[:12]}",
            f"requirements.txt {sha('2')[:12]}",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "a requirements.txt that is gone",
        edited(requirements_sha256=None, requirements=()),
        Change(
            "RequirementsChanged",
            "small==1.0, same",
            "no requirements.txt",
            builds=False,
            full=True,
            rebuild_on="Template",
        ),
    ),
    (
        "a wheel that needs what is not installed",
        {"record": BARE, "unmet": (("small 1.0", "small>=2"), ("more absent", "more"))},
        Change("RequirementsChanged", "small 1.0, more absent", "small>=2, more", full=True),
    ),
    (
        "a base that moved",
        {"bases": {BASE_NAME: NEW_BASE}},
        Change(
            "BaseImageMoved",
            f"{BASE_NAME} {OLD_BASE[:19]}",
            f"{BASE_NAME} {NEW_BASE[:19]}",
            builds=False,
            full=True,
            rebuild_on="Base",
        ),
    ),
    (
        "a request",
        {"request": "CVE-2026-2"},
        Change("Requested", "CVE-2026-1", "CVE-2026-2", full=True),
    ),
]


@pytest.mark.parametrize(("changed", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_change_is_told_with_what_was_before_and_after(changed: dict[str, Any], expected: Change) -> None:
    assert of(question(**changed)) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [row[1:] for row in TABLE if row[2].rebuild_on],
    ids=[row[0] for row in TABLE if row[2].rebuild_on],
)
def test_what_rebuild_on_names_is_built_and_the_rest_is_shown_with_its_cure(
    changed: dict[str, Any], expected: Change
) -> None:
    word = str(expected.rebuild_on)
    built = of(question(**changed), rebuilding_on(word))
    assert built is not None
    assert (built.reason, built.builds) == (expected.reason, True)
    other = rebuilding_on("Base" if word == "Template" else "Template")
    shown = update_of(changes_of(other, question(**changed)))
    assert shown == expected
    assert cure_of(other, shown) == (
        f"Add {word} to build.rebuildOn of template echo to have it built from now on, or ask for this one build with "
        "annotation runtime.molecule.ai/rebuild."
    )


@pytest.mark.parametrize("moved", ["other/echo:0.1.0-x", "localhost:5000/echo:0.1.0-x"])
def test_an_image_of_another_repository_is_not_this_templates(moved: str) -> None:
    elsewhere = record(templates={"echo": template_record("0.1.0", "echo", image=moved)})
    change = of(question(record=elsewhere, images=served(elsewhere)))
    assert change is not None
    assert change.reason == "WheelChanged"


def test_an_image_that_only_its_candidate_tag_serves_is_not_missing() -> None:
    assert changes_of(ECHO, question(images={"ws/echo:candidate-0": IMAGE})) == ()


def test_an_image_that_an_engine_has_under_no_name_is_not_missing() -> None:
    assert changes_of(ECHO, question(images={IMAGE: IMAGE})) == ()


@pytest.mark.parametrize(
    "unknown",
    [
        {"inputs": None},
        {"bases": {}},
        {"labels": {}},
        {"full_build": None, **edited(dockerfile_sha256=sha("another"))},
        {"full_build": BUILT.model_copy(update={"bases": None}), "bases": {BASE_NAME: NEW_BASE}},
        {"full_build": BUILT.model_copy(update={"inputs": None}), "bases": {BASE_NAME: OLD_BASE}},
    ],
    ids=["inputs", "bases", "labels", "full build", "bases of an old record", "parts of an old record"],
)
def test_what_is_not_known_is_no_change(unknown: dict[str, Any]) -> None:
    assert changes_of(rebuilding_on("Template", "Base"), question(**unknown)) == ()


def test_of_two_reasons_to_build_the_one_that_a_layer_cannot_mend_is_told() -> None:
    both = question(record=BARE, **edited(dockerfile_sha256=sha("another")))
    built, shown = of(both, rebuilding_on("Template")), changes_of(ECHO, both)
    assert built is not None
    assert built.reason == "DockerfileChanged"
    change, update = change_of(shown), update_of(shown)
    assert change is not None
    assert update is not None
    assert (change.reason, update.reason) == ("WheelChanged", "DockerfileChanged")


def test_an_image_that_is_built_already_needs_no_more_than_it_has() -> None:
    assert changes_of(ECHO, question(unmet=(("small 1.0", "small>=2"),))) == ()


# --- from an observation to builds


def builds(seen: Observation, *records: ReleaseRecord, **annotations: str) -> tuple[TemplateBuild, ...]:
    named = {f"runtime.molecule.ai/{name}": text for name, text in annotations.items()}
    return build_needed(document(annotations=named), records[0], seen)


def test_builds_list_what_needs_one_with_its_inputs_and_leave_out_what_is_only_shown() -> None:
    now = {"echo": Known(template_inputs(sha("edited"))), "greeter": AWAY}
    whole, bare = observation(record(), templates=now), observation(record(templates={}), templates=now)
    assert builds(whole, record()) == ()
    echo, greeter = builds(bare, record(templates={}))
    assert (echo.inputs_sha256, echo.inputs, echo.rebuild) == (
        sha("edited"),
        template_inputs(sha("edited")),
        False,
    )
    assert (greeter.template, greeter.inputs_sha256, greeter.reason) == ("greeter", "", "WheelChanged")


def test_a_full_build_is_asked_for_with_the_bases_that_were_seen() -> None:
    spec = [
        {"name": "echo", "image": "ws/echo", "build": {"directory": "echo", "rebuildOn": ["Version", "Base"]}}
    ]
    moved = observation(HERE, bases={BASE_NAME: Known(NEW_BASE)})
    (build,) = build_needed(document(templates=spec), HERE, moved)
    assert (build.reason, build.rebuild, build.fresh) == ("BaseImageMoved", True, False)
    assert build.bases == ((BASE_NAME, NEW_BASE),)
    assert build.request == "CVE-2026-1", "what was asked for before is not undone"


def test_a_base_that_cannot_be_read_builds_nothing() -> None:
    assert builds(observation(record(), bases={BASE_NAME: AWAY}), record()) == ()


@pytest.mark.parametrize(
    ("annotation", "asked"),
    [
        ('{"echo": "CVE-2026-2"}', {"echo": "CVE-2026-2"}),
        ('{"*": "CVE-2026-2"}', {"echo": "CVE-2026-2", "greeter": "CVE-2026-2"}),
        ('{"*": "all", "echo": "this"}', {"echo": "this", "greeter": "all"}),
        ("{}", {}),
    ],
)
def test_a_request_builds_the_templates_that_it_names(annotation: str, asked: dict[str, str]) -> None:
    made = builds(observation(record()), record(), rebuild=annotation)
    assert {build.template: build.request for build in made} == asked
    assert all(build.rebuild and build.fresh and build.reason == "Requested" for build in made)


def test_a_request_that_any_version_has_answered_is_not_done_again() -> None:
    earlier = record("0.0.9", templates={"echo": template_record("0.0.9", "echo", full_build=BUILT)})
    seen = observation(earlier, record())
    assert builds(seen, record(), rebuild='{"echo": "CVE-2026-1"}') == ()
    (again,) = builds(seen, record(), rebuild='{"echo": "CVE-2026-2"}')
    assert again.template == "echo"


def test_two_requests_are_two_builds_and_the_same_one_is_one() -> None:
    one, two, again = (
        builds(observation(record()), record(), rebuild=f'{{"echo": "{text}"}}')[0].identity
        for text in ("one", "two", "one")
    )
    assert one == again != two


# --- what records know


def test_the_last_full_build_is_the_versions_own_else_that_of_the_newest_release() -> None:
    old = record("0.0.8", published_time=None, templates={"echo": template_record("0.0.8", "echo")})
    records = {each.version: each for each in (old, record("0.0.9"), HERE)}
    assert last_full_build("echo", "0.1.0", records) == BUILT
    assert last_full_build("echo", "0.2.0", {"0.0.8": old, "0.1.0": HERE}) == BUILT
    assert last_full_build("absent", "0.1.0", records) is None
    before = released_before("echo", "0.1.0", records)
    assert before is not None
    assert before.version == "0.0.9"


def test_a_request_stays_answered_while_its_image_still_has_to_pass_the_gate() -> None:
    waiting = template_record("0.1.0", "echo", full_build=BUILT, proven=False)
    assert answered("CVE-2026-1", "echo", {"0.1.0": record(templates={"echo": waiting})})
    assert not answered("CVE-2026-1", "greeter", {"0.1.0": HERE})


# --- one image after another


def followed(template: TemplateRecord, earlier: TemplateRecord | None) -> tuple[str, bool, str | None]:
    made = template.following(earlier)
    return made.image, made.proven, made.previous.image if made.previous else None


def test_the_proven_image_stays_in_use_until_the_next_one_is_proven() -> None:
    used = template_record("0.1.0", "echo")
    second = used.model_copy(update={"image": "second", "image_id": f"sha256:{sha('2')}", "proven": False})
    third = second.model_copy(update={"image": "third", "image_id": f"sha256:{sha('3')}"})
    candidate = second.following(used)
    assert candidate.in_use == used
    assert followed(third, candidate) == ("third", False, used.image)
    back = used.model_copy(update={"image": "back", "proven": False, "boot_seconds": None})
    assert followed(back, third.following(candidate)) == ("back", True, None)
    proven = candidate.model_copy(update={"proven": True})
    assert proven.in_use == proven
    assert followed(third, proven) == ("third", False, "second")
    assert record(templates={"echo": third.following(candidate)}).in_use.templates == {"echo": used}
    assert record(templates={"echo": third}).in_use.templates == {}


def test_every_template_is_asked_about() -> None:
    assert [build.template for build in builds(observation(BARE), BARE)] == list(TEMPLATES)
