"""Each invariant of a sound status is broken by a status that breaks it: the library that other tests rely on."""

from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Condition, Status
from controller.status.invariants import broken, broken_between
from tests.unit.simulator.virtual_time import NOON


def condition(type_: str, status: str = "True", **changes: Any) -> Condition:  # noqa: ANN401 -- any field
    return Condition.model_validate(
        {
            "type": type_,
            "status": status,
            "reason": "UpToDate",
            "message": "It is so.",
            "lastTransitionTime": NOON,
            "observedGeneration": 1,
            **changes,
        }
    )


SOUND = tuple(condition(type_) for type_ in ("Ready", "Published", "ImagesBuilt", "RolledOut"))
NOT_READY = (condition("Ready", "False"), *SOUND[1:])


def test_a_sound_status_breaks_nothing() -> None:
    assert broken(Status(observed_generation=1, conditions=SOUND)) == []


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ((*SOUND, SOUND[1]), "A condition type stands twice."),
        (SOUND[:2], "Conditions are missing: ImagesBuilt, RolledOut."),
        ((*NOT_READY, condition("Stalled", "False")), "Stalled is present and not True."),
        ((*NOT_READY, condition("Reconciling", "Unknown")), "Reconciling is present and not True."),
        (
            (*NOT_READY, condition("Stalled"), condition("Reconciling")),
            "Reconciling and Stalled are both present.",
        ),
        ((*SOUND, condition("Stalled")), "Ready is True while Reconciling or Stalled is present."),
        ((*SOUND, condition("Reconciling")), "Ready is True while Reconciling or Stalled is present."),
        (
            (*SOUND[:3], condition("RolledOut", "Unknown")),
            "Ready is True while a part of it is not.",
        ),
        (
            (*SOUND[:3], condition("RolledOut", observedGeneration=0)),
            "RolledOut was observed at another generation than the status.",
        ),
        (
            (*SOUND[:3], condition("RolledOut", message="one\ntwo")),
            "RolledOut lacks a reason, or its message is not one line: 'one\\ntwo'.",
        ),
        (
            (*SOUND[:3], condition("RolledOut", reason="")),
            "RolledOut lacks a reason, or its message is not one line: 'It is so.'.",
        ),
    ],
)
def test_each_invariant_names_what_breaks_it(conditions: tuple[Condition, ...], problem: str) -> None:
    assert problem in broken(Status(observed_generation=1, conditions=conditions))


def test_a_write_goes_to_no_earlier_generation_and_tells_of_each_transition_and_of_no_other() -> None:
    later: dict[str, Any] = {"lastTransitionTime": NOON + timedelta(seconds=1)}
    before = Status(observed_generation=2, conditions=SOUND)
    assert broken_between(before, before) == []
    turned = Status(observed_generation=2, conditions=(condition("Ready", "False", **later), *SOUND[1:]))
    assert broken_between(before, turned) == []
    assert broken_between(before, Status(observed_generation=1)) == [
        "The status went back to an earlier generation."
    ]
    assert broken_between(before, Status(observed_generation=2, conditions=NOT_READY)) == [
        "Ready turned to False and tells of no transition."
    ]
    moved = Status(observed_generation=2, conditions=(condition("Ready", **later),))
    assert broken_between(before, moved) == ["Ready tells of a transition and stayed True."]
