"""What the tests of a status begin with: a document, what was seen, and the status that this makes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from controller.api.status import Status
from controller.model.observation import Observation
from controller.model.plan import Progress
from controller.plan.decide import decide
from controller.plan.state import classify
from controller.status.invariants import broken
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import (
    record,
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
