"""What must hold of every status at every moment: the test library that each test of the loop calls.

Source: kstatus (sigs.k8s.io/cli-utils, `pkg/kstatus`) and the Kubernetes API conventions on conditions.
"""

from __future__ import annotations

from controller.api.conditions import ConditionType
from controller.api.status import Status


def broken(status: Status) -> list[str]:
    """Return the invariants that `status` breaks, each as one sentence; empty when it is sound."""
    return [*_of_presence(status), *_of_summary(status), *_of_each(status)]


def broken_between(before: Status, after: Status) -> list[str]:
    """Return the invariants that one write breaks which makes `after` of `before`, both of the same object."""
    problems = []
    if after.observed_generation < before.observed_generation:
        problems.append("The status went back to an earlier generation.")
    for condition in after.conditions:
        earlier = before.condition(condition.type)
        if earlier is None:
            continue
        moved = condition.last_transition_time != earlier.last_transition_time
        if moved and condition.status == earlier.status:
            problems.append(f"{condition.type} tells of a transition and stayed {condition.status}.")
        if not moved and condition.status != earlier.status:
            problems.append(f"{condition.type} turned to {condition.status} and tells of no transition.")
    return problems


def _of_presence(status: Status) -> list[str]:
    problems = []
    types = [condition.type for condition in status.conditions]
    if len(types) != len(set(types)):
        problems.append("A condition type stands twice.")
    missing = {"Ready", "Published", "ImagesBuilt", "RolledOut"} - set(types)
    if missing:
        problems.append(f"Conditions are missing: {', '.join(sorted(missing))}.")
    for type_ in (ConditionType.RECONCILING, ConditionType.STALLED):
        condition = status.condition(type_)
        if condition is not None and condition.status != "True":
            problems.append(f"{type_} is present and not True.")
    return problems


def _of_summary(status: Status) -> list[str]:
    problems = []
    ready = status.is_true(ConditionType.READY)
    reconciling, stalled = status.is_true(ConditionType.RECONCILING), status.is_true(ConditionType.STALLED)
    if reconciling and stalled:
        problems.append("Reconciling and Stalled are both present.")
    if ready and (reconciling or stalled):
        problems.append("Ready is True while Reconciling or Stalled is present.")
    if ready and not all(status.is_true(type_) for type_ in ("Published", "ImagesBuilt", "RolledOut")):
        problems.append("Ready is True while a part of it is not.")
    counts = status.rollout
    if (
        ready
        and counts is not None
        and (counts.up_to_date != counts.total or counts.held or counts.failed or counts.unreachable)
    ):
        problems.append("Ready is True while a target does not run what was asked for.")
    return problems


def _of_each(status: Status) -> list[str]:
    problems = []
    for condition in status.conditions:
        if condition.observed_generation != status.observed_generation:
            problems.append(f"{condition.type} was observed at another generation than the status.")
        if not condition.reason or not condition.message or "\n" in condition.message:
            problems.append(
                f"{condition.type} lacks a reason, or its message is not one line: {condition.message!r}."
            )
    return problems
