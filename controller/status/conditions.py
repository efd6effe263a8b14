"""The conditions of an object: what is true of the whole and of each stage, why, and whether it moves on by itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controller.api.conditions import ConditionType, Reason
from controller.api.status import Condition, Status
from controller.model.observed import Unknown
from controller.model.record import ReleaseRecord
from controller.plan.gate import has_failed, has_passed, was_tried
from controller.plan.state import (
    Absent,
    Blocked,
    Contested,
    Held,
    Stale,
    Unbuilt,
    Undelivered,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
    outstanding_of,
)
from controller.status.failures import awaited_of, contested_of, failures_of, problem_of
from controller.status.fleet_words import STUCK, missed_of, settled_text
from controller.status.scope import Scope
from controller.status.stage import stage, undelivered
from controller.status.verdict import Verdict, listed, unknown, unread_text

ASKED_FOR = frozenset(
    {
        Reason.SUSPENDED,
        Reason.HELD,
        Reason.TARGETS_HELD,
        Reason.TEMPLATES_HELD_BACK,
        Reason.AWAITING_APPROVAL,
    }
)
"""Why an object is not ready although all is as its owner wants it: neither under way nor stalled."""


def conditions_of(
    scope: Scope, record: ReleaseRecord | None, previous: Status, now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions of this pass; `previous` gives the times of those that stay, `record` is the version's."""
    verdicts = {
        ConditionType.READY: _ready(scope),
        ConditionType.PUBLISHED: _published(scope, record),
        ConditionType.IMAGES_BUILT: _images_built(scope, record),
        ConditionType.ROLLED_OUT: _rolled_out(scope),
    }
    ready = verdicts[ConditionType.READY]
    if _is_stalled(scope, ready):
        verdicts[ConditionType.STALLED] = Verdict("True", ready.reason, ready.message)
    elif ready.status != "True" and ready.reason not in ASKED_FOR:
        verdicts[ConditionType.RECONCILING] = _rolling_back(scope) or Verdict(
            "True", ready.reason, ready.message
        )
    return tuple(
        _condition(type_, verdict, scope.generation, previous=previous, now=now)
        for type_, verdict in verdicts.items()
    )


def _condition(
    type_: str, verdict: Verdict, generation: int, *, previous: Status, now: datetime
) -> Condition:
    before = previous.condition(type_)
    same = before is not None and before.status == verdict.status
    return Condition.model_validate(
        {
            "type": str(type_),
            "status": verdict.status,
            "reason": str(verdict.reason),
            "message": " ".join(verdict.message.split()),
            "lastTransitionTime": before.last_transition_time if before and same else now,
            "observedGeneration": generation,
        }
    )


def _is_stalled(scope: Scope, ready: Verdict) -> bool:
    """Nothing is under way, nothing may start, and waiting will not help."""
    state = scope.state
    if scope.progress.in_flight or scope.plan.actions:
        return False
    if isinstance(state, Blocked):
        return state.stalled is not None
    if any(failure.retry_time is not None for failure in failures_of(scope)):
        return False
    if awaited_of(scope):
        return False
    if isinstance(state, Held):
        waits_for_targets = state.fallback is not None and state.fleet is None
        return not state.by_owner and not waits_for_targets
    if isinstance(state, UpToDate) and ready.status == "Unknown":
        unread = state.outstanding.unread
        return unread is not None and unread.stalled is not None
    return bool(failures_of(scope)) or ready.reason in STUCK


def _rolling_back(scope: Scope) -> Verdict | None:
    """Return what a rollback is doing, None when there is none or it is through."""
    state = scope.state
    if not isinstance(state, Held) or state.fallback is None:
        return None
    if isinstance(scope.observation.targets, Unknown):
        return Verdict("True", Reason.ROLLING_BACK, unread_text("targets", scope.observation.targets.reason))
    if state.fleet is None or not (state.fleet.stale or state.retagged):
        return None
    text = f"To bring back to {state.fallback.version}: {len(state.fleet.stale)} of {len(state.fleet.ours)} targets."
    return Verdict("True", Reason.ROLLING_BACK, text)


def _ready(scope: Scope) -> Verdict:
    state, problem = scope.state, problem_of(scope)
    if isinstance(state, UpToDate):
        everybody = Verdict("True", Reason.UP_TO_DATE, settled_text(state.fleet, state.record))
        missed, unread = missed_of(state.fleet, state.record), state.outstanding.unread
        if unread is None:
            return missed or everybody
        return _beside(missed, [unread_text(unread.source, unread.message)]) if missed else _blocked(unread)
    if isinstance(state, Held):
        contested = contested_of(scope)
        return _beside(
            Verdict("False", state.reason, state.message), [contested.message] if contested else []
        )
    if isinstance(state, Blocked):
        return _blocked(state)
    told = problem or stage(scope)
    awaited = awaited_of(scope)
    beside = [undelivered(scope.document.spec.version, awaited).message] if problem and awaited else []
    contested = contested_of(scope)
    if contested is not None and isinstance(state, Stale | Unpromoted):
        beside.append(contested.message)
    unread = outstanding_of(state).unread
    if unread is not None:
        beside.append(unread_text(unread.source, unread.message))
    return _beside(told, beside)


def _beside(told: Verdict, more: Sequence[str]) -> Verdict:
    return Verdict(told.status, told.reason, " ".join([told.message, *more]))


def _blocked(state: Blocked) -> Verdict:
    reason = state.stalled or state.awaited or Reason.UNKNOWN
    return Verdict("Unknown", reason, unread_text(state.source, state.message))


def _published(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if record is not None and record.published_time is not None:
        return Verdict("True", Reason.SERVED, f"The index serves {version}.")
    guards = {Reason.VERSION_REFUSED, Reason.PUBLISHER_CONFLICT}
    if isinstance(scope.state, Held) and scope.state.reason in guards:
        return Verdict("False", scope.state.reason, scope.state.message)
    problem = problem_of(scope)
    if isinstance(scope.state, Unpublished):
        return problem or stage(scope)
    if isinstance(scope.observation.records, Unknown):
        return unknown("release records", scope.observation.records)
    if isinstance(scope.observation.index, Unknown):
        return unknown("package index", scope.observation.index)
    return Verdict("False", Reason.PENDING, f"Version {version} is not public.")


def _images_built(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.records, Unknown):
        return unknown("release records", scope.observation.records)
    if record is not None and record.failed and record.verdict is not None and not _all_passed(scope, record):
        return Verdict("False", record.verdict.reason, record.verdict.message)
    if isinstance(scope.state, Absent | Unbuilt | Unproven):
        return problem_of(scope) or stage(scope)
    if record is not None and _all_passed(scope, record):
        return Verdict("True", Reason.PROVEN, _passed_text(scope, record))
    return Verdict("Unknown", Reason.PENDING, f"The images of {version} have not been looked at.")


def _all_passed(scope: Scope, record: ReleaseRecord) -> bool:
    return all(has_passed(template, record) for template in scope.document.spec.templates)


def _passed_text(scope: Scope, record: ReleaseRecord) -> str:
    left = [each for each in scope.document.spec.templates if not was_tried(each, record)]
    if not left:
        return f"Every template has booted and answered with {record.version}."
    text = f"Every template that must has booted and answered with {record.version}"
    failed = [each.name for each in left if has_failed(each, record)]
    others = [each.name for each in left if each.name not in failed]
    for words, names in (("held back", failed), ("not tried yet", others)):
        text += f"; {words}: {listed(names)}" if names else ""
    return f"{text}."


def _rolled_out(scope: Scope) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.targets, Unknown):
        return unknown("targets", scope.observation.targets)
    match scope.state:
        case (
            UpToDate(fleet=fleet, record=record)
            | Unpromoted(fleet=fleet, record=record)
            | Contested(fleet=fleet, record=record)
            | Undelivered(fleet=fleet, record=record)
        ):
            reason = Reason.UP_TO_DATE if fleet.ours else Reason.NO_TARGETS
            everybody = Verdict("True", reason, settled_text(fleet, record))
            return missed_of(fleet, record) or everybody
        case Stale():
            return problem_of(scope) or stage(scope)
        case Held(reason=Reason.ROLLOUT_FAILED, message=message) if _pauses(scope):
            text = f"{message} Targets stay as they are, as rollout.onFailure: Pause asks."
            return Verdict("False", Reason.PAUSED, text)
        case Held(reason=reason, message=message):
            return Verdict("False", reason, message)
        case _:
            return Verdict("False", Reason.PENDING, f"Version {version} is not ready to be rolled out.")


def _pauses(scope: Scope) -> bool:
    return scope.document.spec.rollout.on_failure == "Pause"
