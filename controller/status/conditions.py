"""The conditions of an object: what is true of the whole and of each stage, why, and whether it moves on by itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controller.api.conditions import ConditionType, Reason
from controller.api.status import Condition, Status
from controller.model.observed import Unknown
from controller.model.plan import Failure
from controller.model.record import ReleaseRecord
from controller.plan.delivery import Delivery
from controller.plan.fleet import Fleet
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
from controller.status.scope import Scope
from controller.status.standing import about_others, templates_of

ASKED_FOR = frozenset({Reason.SUSPENDED, Reason.HELD, Reason.TARGETS_HELD, Reason.TEMPLATES_HELD_BACK})
"""Why an object is not ready although all is as its owner wants it: neither under way nor stalled."""

STUCK = frozenset(
    {
        Reason.SHAPE_UNSAFE,
        Reason.CONTAINER_NOT_FOUND,
        Reason.IMAGE_CONTESTED,
        Reason.TARGET_OWNED,
        Reason.NAMESPACE_NOT_ALLOWED,
    }
)
"""Why a target cannot be replaced before somebody changes something."""

NAMES_LISTED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, reason and message of a condition before its times are known."""

    status: str
    reason: str
    message: str


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
    if any(failure.retry_time is not None for failure in _failures(scope)):
        return False
    if _awaited(scope):
        return False
    if isinstance(state, Held):
        waits_for_targets = state.fallback is not None and state.fleet is None
        return not state.by_owner and not waits_for_targets
    if isinstance(state, UpToDate) and ready.status == "Unknown":
        unread = state.outstanding.unread
        return unread is not None and unread.stalled is not None
    return bool(_failures(scope)) or ready.reason in STUCK


def _awaited(scope: Scope) -> list[Delivery]:
    """Return what is all that is left and may still come: nobody has failed to deliver it."""
    if not isinstance(scope.state, Undelivered):
        return []
    stuck = {name for action, _ in scope.plan.failed for name in templates_of(action)}
    return [each for each in scope.state.outstanding.deliveries if each.template not in stuck]


def _rolling_back(scope: Scope) -> Verdict | None:
    """Return what a rollback is doing, None when there is none or it is through."""
    state = scope.state
    if not isinstance(state, Held) or state.fallback is None:
        return None
    if isinstance(scope.observation.targets, Unknown):
        return Verdict("True", Reason.ROLLING_BACK, _unread("targets", scope.observation.targets.reason))
    if state.fleet is None or not (state.fleet.stale or state.retagged):
        return None
    text = f"To bring back to {state.fallback.version}: {len(state.fleet.stale)} of {len(state.fleet.ours)} targets."
    return Verdict("True", Reason.ROLLING_BACK, text)


def _problem(scope: Scope) -> Verdict | None:
    """Return the failure that people should read first: one that waits for them before one that will be retried."""
    final = [failure for failure in _failures(scope) if failure.retry_time is None]
    failures = final or _failures(scope)
    if not failures:
        return None
    more = f" (and {len(final) - 1} more)" if len(final) > 1 else ""
    return Verdict("False", failures[0].reason, f"{failures[0].message}{more}")


def _failures(scope: Scope) -> list[Failure]:
    """Return what keeps the object from going on: not what its other targets do not wait for, while these move."""
    last = isinstance(scope.state, Undelivered | Contested)
    contested = _contested(scope) if last else None
    failures = [failure for action, failure in scope.plan.failed if last or not about_others(scope, action)]
    return [*failures, *([contested] if contested is not None else [])]


def _contested(scope: Scope) -> Failure | None:
    """Return which moving tags somebody else moved, as one failure that waits for its owner's word."""
    contests = outstanding_of(scope.state).contests
    if not contests:
        return None
    first, *others = contests
    more = f" ({len(others)} more: {_names([each.tag for each in others])})" if others else ""
    return Failure(first.reason, f"{first.message}{more}", None)


def _ready(scope: Scope) -> Verdict:
    state, problem = scope.state, _problem(scope)
    if isinstance(state, UpToDate):
        everybody = Verdict("True", Reason.UP_TO_DATE, _settled_text(state.fleet, state.record))
        missed, unread = _missed(state.fleet, state.record), state.outstanding.unread
        if unread is None:
            return missed or everybody
        return _beside(missed, [_unread(unread.source, unread.message)]) if missed else _blocked(unread)
    if isinstance(state, Held):
        contested = _contested(scope)
        return _beside(
            Verdict("False", state.reason, state.message), [contested.message] if contested else []
        )
    if isinstance(state, Blocked):
        return _blocked(state)
    told = problem or _stage(scope)
    awaited = _awaited(scope)
    beside = [_undelivered(scope.document.spec.version, awaited).message] if problem and awaited else []
    contested = _contested(scope)
    if contested is not None and isinstance(state, Stale | Unpromoted):
        beside.append(contested.message)
    unread = outstanding_of(state).unread
    if unread is not None:
        beside.append(_unread(unread.source, unread.message))
    return _beside(told, beside)


def _beside(told: Verdict, more: Sequence[str]) -> Verdict:
    return Verdict(told.status, told.reason, " ".join([told.message, *more]))


def _blocked(state: Blocked) -> Verdict:
    reason = state.stalled or state.awaited or Reason.UNKNOWN
    return Verdict("Unknown", reason, _unread(state.source, state.message))


def _unread(source: str, why: str) -> str:
    return f"The {source} cannot be read: {why}"


def _unknown(source: str, seen: Unknown) -> Verdict:
    return Verdict("Unknown", Reason.UNKNOWN, _unread(source, seen.reason))


def _stage(scope: Scope) -> Verdict:
    version = scope.document.spec.version
    match scope.state:
        case Absent(release=None) if scope.document.spec.package.publish == "External":
            text = f"Somebody else publishes {scope.document.spec.package.name}, and the index does not serve {version} yet."
            return Verdict("False", Reason.PUBLISHED_ELSEWHERE, text)
        case Absent() | Unbuilt():
            return Verdict("False", Reason.BUILDING, f"Version {version} is being built.")
        case Unproven(templates=templates):
            names = ", ".join(templates)
            return Verdict("False", Reason.PROVING, f"Candidates of {version} are being proven: {names}.")
        case Unpublished():
            return _publishing(scope)
        case Stale(fleet=fleet):
            return _rolling(scope, fleet)
        case Undelivered(outstanding=outstanding):
            return _undelivered(version, outstanding.deliveries)
        case Unpromoted(fleet=Fleet(missed=())):
            text = f"Version {version} runs everywhere and is being promoted."
            return Verdict("False", Reason.PROMOTING, text)
        case _:
            text = f"Version {version} runs wherever it may and is being promoted."
            return Verdict("False", Reason.PROMOTING, text)


def _undelivered(version: str, due: Sequence[Delivery]) -> Verdict:
    names = _names([each.template for each in due])
    if all(each.untagged for each in due):
        text = f"Images are getting their immutable tags: {names}."
        return Verdict("False", Reason.PROMOTING, text)
    gone = _names([each.template for each in due if each.gone is not None])
    text = f"Version {version} is awaited from whoever builds: {names}"
    if not gone:
        return Verdict("False", Reason.AWAITING_DELIVERY, f"{text}.")
    return Verdict("False", Reason.IMAGE_GONE, f"{text}; deleted from the registry: {gone}.")


def _publishing(scope: Scope) -> Verdict:
    mine = f"publish/{scope.document.spec.version}/"
    waits = next((line for key, line in scope.progress.waits.items() if key.startswith(mine)), None)
    if waits is not None:
        return Verdict("False", Reason.INDEX_NOT_VISIBLE, f"{waits}.")
    return Verdict("False", Reason.PUBLISHING, f"Version {scope.document.spec.version} is being published.")


def _rolling(scope: Scope, fleet: Fleet) -> Verdict:
    version = scope.document.spec.version
    text = f"{len(fleet.proven)} of {len(fleet.counted)} targets run {version}"
    if fleet.stale and all(target.busy for target in fleet.stale):
        names = _names([target.id for target in fleet.stale])
        return Verdict("False", Reason.DRAINING, f"{text}; work in progress is waited for: {names}.")
    if fleet.stale:
        stopped = sum(1 for target in fleet.stale if target not in fleet.counted)
        rest = f"; {stopped} stopped to be updated" if stopped else ""
        return Verdict("False", Reason.ROLLING, f"{text}{rest}.")
    names = _names([target.id for target in fleet.unproven])
    return Verdict("Unknown", Reason.TARGETS_UNKNOWN, f"{text}; not reporting: {names}.")


def _names(items: Sequence[str]) -> str:
    more = f" and {len(items) - NAMES_LISTED} more" if len(items) > NAMES_LISTED else ""
    return ", ".join(items[:NAMES_LISTED]) + more


def _missed(fleet: Fleet, record: ReleaseRecord) -> Verdict | None:
    """Return why not every target runs the release although all that may be done is done; None when every one does."""
    if not fleet.missed:
        return None
    running = sum(1 for left in fleet.missed if left.target.is_running)
    text = f"{len(fleet.proven)} of {len(fleet.counted) + running} targets run {record.version}"
    unsafe = [left for left in fleet.missed if left.reason in STUCK]
    held = [left for left in fleet.missed if left.reason == Reason.TARGETS_HELD]
    behind = [left for left in fleet.missed if left.reason == Reason.TEMPLATES_HELD_BACK]
    awaited = [left for left in fleet.missed if left.reason == Reason.AWAITING_DELIVERY]
    unread = [left for left in fleet.missed if left.reason == Reason.UNKNOWN]
    if held:
        text += "; left alone as asked: " + _names([f"{left.target.id} ({left.cause})" for left in held])
    for left_out in (behind, awaited, unread):
        if left_out:
            text += f"; {len(left_out)} not, {_names(list(dict.fromkeys(left.cause for left in left_out)))}"
    if not unsafe:
        reason = next(
            left.reason
            for group in (unread, awaited, behind, held)
            for left in group
            if left.reason is not None
        )
        return Verdict("False", reason, f"{text}.")
    more = f" {len(unsafe) - 1} more cannot be replaced either." if len(unsafe) > 1 else ""
    first = f"{unsafe[0].target.id} cannot be replaced: {unsafe[0].cause.rstrip('.')}."
    return Verdict("False", unsafe[0].reason or Reason.SHAPE_UNSAFE, f"{text}; {first}{more}")


def _settled_text(fleet: Fleet, record: ReleaseRecord) -> str:
    foreign = len(fleet.untouched) - len(fleet.missed)
    alone = f"; {foreign} left alone" if foreign else ""
    stopped = len(fleet.ours) - len(fleet.counted)
    rest = f"; {stopped} stopped, to start with it{alone}" if stopped else alone
    if not fleet.counted:
        return f"Version {record.version} is ready; no target runs{rest}."
    who = f"All {len(fleet.counted)} targets run" if len(fleet.counted) > 1 else "The only target runs"
    return f"{who} {record.version}{rest}."


def _published(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if record is not None and record.published_time is not None:
        return Verdict("True", Reason.SERVED, f"The index serves {version}.")
    guards = {Reason.VERSION_REFUSED, Reason.PUBLISHER_CONFLICT}
    if isinstance(scope.state, Held) and scope.state.reason in guards:
        return Verdict("False", scope.state.reason, scope.state.message)
    problem = _problem(scope)
    if isinstance(scope.state, Unpublished):
        return problem or _publishing(scope)
    if isinstance(scope.observation.records, Unknown):
        return _unknown("release records", scope.observation.records)
    if isinstance(scope.observation.index, Unknown):
        return _unknown("package index", scope.observation.index)
    return Verdict("False", Reason.PENDING, f"Version {version} is not public.")


def _images_built(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.records, Unknown):
        return _unknown("release records", scope.observation.records)
    if record is not None and record.failed and record.verdict is not None and not _all_passed(scope, record):
        return Verdict("False", record.verdict.reason, record.verdict.message)
    if isinstance(scope.state, Absent | Unbuilt | Unproven):
        return _problem(scope) or _stage(scope)
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
        text += f"; {words}: {_names(names)}" if names else ""
    return f"{text}."


def _rolled_out(scope: Scope) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.targets, Unknown):
        return _unknown("targets", scope.observation.targets)
    match scope.state:
        case (
            UpToDate(fleet=fleet, record=record)
            | Unpromoted(fleet=fleet, record=record)
            | Contested(fleet=fleet, record=record)
            | Undelivered(fleet=fleet, record=record)
        ):
            reason = Reason.UP_TO_DATE if fleet.ours else Reason.NO_TARGETS
            everybody = Verdict("True", reason, _settled_text(fleet, record))
            return _missed(fleet, record) or everybody
        case Stale(fleet=fleet):
            return _problem(scope) or _rolling(scope, fleet)
        case Held(reason=Reason.ROLLOUT_FAILED, message=message) if _pauses(scope):
            text = f"{message} Targets stay as they are, as rollout.onFailure: Pause asks."
            return Verdict("False", Reason.PAUSED, text)
        case Held(reason=reason, message=message):
            return Verdict("False", reason, message)
        case _:
            return Verdict("False", Reason.PENDING, f"Version {version} is not ready to be rolled out.")


def _pauses(scope: Scope) -> bool:
    return scope.document.spec.rollout.on_failure == "Pause"
