"""The status of an object that no pass was made for: seen for the first time, or asking for what cannot be done here. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from controller.api.conditions import ConditionType, Reason
from controller.api.names import ANNOTATION_REQUESTED_AT
from controller.api.status import Condition, Status
from controller.model.errors import Terminal

_STAGES = (ConditionType.PUBLISHED, ConditionType.IMAGES_BUILT, ConditionType.ROLLED_OUT)


def first_seen(generation: int, now: datetime) -> Status:
    """Return what is true of an object before anything was looked at; without it kstatus would call it current."""
    text = "Nothing was looked at yet."
    conditions = [
        _condition(type_, "Unknown", Reason.PENDING, text, generation, now=now)
        for type_ in (ConditionType.READY, *_STAGES)
    ]
    conditions.append(
        _condition(ConditionType.RECONCILING, "True", Reason.PENDING, text, generation, now=now)
    )
    return Status(observed_generation=generation, conditions=tuple(conditions))


def refused(
    previous: Status, generation: int, problem: Terminal, *, annotations: Mapping[str, str], now: datetime
) -> Status:
    """Return `previous` with the refusal of this generation: nothing is done until somebody changes something.

    What is known of images and targets stays; whether the stages are true of this generation is not known.
    """
    reason, message = problem.reason, str(problem)
    unknown = "Nothing is looked at while the object is stalled."
    wanted = [
        (ConditionType.READY, "False", reason, message),
        *((type_, "Unknown", Reason.PENDING, unknown) for type_ in _STAGES),
        (ConditionType.STALLED, "True", reason, message),
    ]
    conditions = []
    for type_, status, why, text in wanted:
        before = previous.condition(type_)
        same = before is not None and before.status == status
        since = before.last_transition_time if before is not None and same else now
        conditions.append(_condition(type_, status, why, text, generation, now=since))
    changes = {
        "observed_generation": generation,
        "conditions": tuple(conditions),
        "last_handled_reconcile_at": annotations.get(ANNOTATION_REQUESTED_AT),
    }
    return previous.model_copy(update=changes)


def _condition(  # noqa: PLR0913 -- the fields of a condition
    type_: str, status: str, reason: str, message: str, generation: int, *, now: datetime
) -> Condition:
    return Condition.model_validate(
        {
            "type": str(type_),
            "status": status,
            "reason": str(reason),
            "message": " ".join(message.split()),
            "lastTransitionTime": now,
            "observedGeneration": generation,
        }
    )
