"""Each reason to build an image, with what was before and after; the first that applies is given."""

import pytest

from controller.model.observed import Known, Observed
from controller.model.plan import TemplateBuild
from controller.plan.changes import build_needed, change_of
from controller.plan.changes.change import Change, Question
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import AWAY, image, inputs, record, served, template_record

ECHO = document().spec.templates[0]
ECHO_REBUILT = ECHO.model_copy(
    update={"build": ECHO.build.model_copy(update={"rebuild_on": ["Version", "Template"]})}
)


def question(**changes: object) -> Question:
    fields = {"record": record(), "images": served(record()), "inputs_sha256": inputs("echo"), **changes}
    return Question(**fields)  # type: ignore[arg-type] # each test gives fields of the right type


def test_an_image_that_is_there_with_the_wheel_and_the_inputs_needs_nothing() -> None:
    assert change_of(ECHO, question()) is None


def test_a_wheel_that_no_image_carries_is_a_change() -> None:
    bare = record(templates={})
    assert change_of(ECHO, question(record=bare)) == Change(
        "WheelChanged", before=None, after=bare.wheel.sha256
    )


@pytest.mark.parametrize("moved", ["other/echo:0.1.0-x", "localhost:5000/echo:0.1.0-x"])
def test_an_image_of_another_repository_is_not_this_templates(moved: str) -> None:
    elsewhere = record(templates={"echo": template_record("0.1.0", "echo", image=moved)})
    change = change_of(ECHO, question(record=elsewhere, images=served(elsewhere)))
    assert change is not None
    assert change.reason == "WheelChanged"


def test_a_recorded_image_that_nothing_serves_is_missing() -> None:
    assert change_of(ECHO, question(images={})) == Change(
        "ImageMissing", before=image("0.1.0", "echo"), after=None
    )


def test_an_image_that_only_its_candidate_tag_serves_is_not_missing() -> None:
    assert change_of(ECHO, question(images={"ws/echo:candidate-0": image("0.1.0", "echo")})) is None


def test_changed_template_inputs_build_only_where_the_document_says_so() -> None:
    edited = question(inputs_sha256=sha("edited"))
    shown = change_of(ECHO, edited)
    assert shown == Change("TemplateSourceChanged", before=inputs("echo"), after=sha("edited"), builds=False)
    built = change_of(ECHO_REBUILT, edited)
    assert built is not None
    assert built.builds


def test_inputs_that_cannot_be_read_are_no_change() -> None:
    assert change_of(ECHO_REBUILT, question(inputs_sha256=None)) is None


def test_a_missing_image_is_rebuilt_whatever_else_changed() -> None:
    change = change_of(ECHO_REBUILT, question(images={}, inputs_sha256=sha("edited")))
    assert change is not None
    assert change.reason == "ImageMissing"


def test_builds_list_what_needs_one_with_its_inputs_and_leave_out_what_is_only_shown() -> None:
    spec = document().spec
    observed: dict[str, Observed[str]] = {"echo": Known(sha("edited")), "greeter": AWAY}
    assert build_needed(spec, record(), images=served(record()), inputs=observed) == ()
    needed = build_needed(spec, record(templates={}), images={}, inputs=observed)
    assert needed == (
        TemplateBuild("echo", sha("edited"), "WheelChanged", rebuild=False),
        TemplateBuild("greeter", "", "WheelChanged", rebuild=False),
    )


def test_a_full_build_is_allowed_where_the_template_rebuilds_on_its_source() -> None:
    spec = document().spec.model_copy(update={"templates": [ECHO_REBUILT]})
    observed = {"echo": Known(sha("edited"))}
    assert build_needed(spec, record(), images=served(record()), inputs=observed) == (
        TemplateBuild("echo", sha("edited"), "TemplateSourceChanged", rebuild=True),
    )
