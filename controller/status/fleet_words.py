"""What is said of a fleet: how far it is, who is left behind and why."""

from __future__ import annotations

from controller.api.conditions import Reason
from controller.model.record import ReleaseRecord
from controller.plan.fleet import Fleet, counts
from controller.status.scope import Scope
from controller.status.verdict import Verdict, listed

STUCK = frozenset(
    {
        Reason.SHAPE_UNSAFE,
        Reason.CONTAINER_NOT_FOUND,
        Reason.IMAGE_CONTESTED,
        Reason.TARGET_OWNED,
        Reason.NAMESPACE_NOT_ALLOWED,
        Reason.ROLLOUT_FAILED,
        # of a Docker host
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_NOT_ALLOWED,
        Reason.SECRET_INCOMPLETE,
    }
)
"""Why a target cannot be replaced before somebody changes something."""


def rolling(scope: Scope, fleet: Fleet) -> Verdict:
    """Return how far a rollout is, and what it waits for."""
    version = scope.document.spec.version
    text = f"{len(fleet.proven)} of {len(fleet.counted)} targets run {version}"
    text += f"; it failed on {len(fleet.failed)} more" if fleet.failed else ""
    turn = scope.plan.turn
    if turn is not None and turn.soaks_until is not None:
        until = turn.soaks_until.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Verdict("False", Reason.SOAKING, f"{text}; wave {turn.name} soaks until {until}.")
    stop = scope.plan.stop
    if stop is not None:
        return Verdict("False", stop.reason, f"{text}; {stop.message}.")
    going = [target for target in fleet.stale if turn is None or turn.lets(target.id)]
    if going and all(target.busy for target in going):
        names = listed([target.id for target in going])
        return Verdict("False", Reason.DRAINING, f"{text}; work in progress is waited for: {names}.")
    if going:
        stopped = sum(1 for target in going if not counts(target))
        rest = f"; {stopped} stopped to be updated" if stopped else ""
        wave = f"; wave {turn.name} goes" if turn is not None else ""
        return Verdict("False", Reason.ROLLING, f"{text}{rest}{wave}.")
    names = listed([target.id for target in (*fleet.unproven, *fleet.unseen)])
    return Verdict("Unknown", Reason.TARGETS_UNKNOWN, f"{text}; not reporting: {names}.")


def missed_of(fleet: Fleet, record: ReleaseRecord) -> Verdict | None:
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
        text += "; left alone as asked: " + listed([f"{left.target.id} ({left.cause})" for left in held])
    for left_out in (behind, awaited, unread):
        if left_out:
            text += f"; {len(left_out)} not, {listed(list(dict.fromkeys(left.cause for left in left_out)))}"
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


def settled_text(fleet: Fleet, record: ReleaseRecord) -> str:
    """Return the sentence of a rollout that is through: how many run it, and who does not take part."""
    foreign = len(fleet.untouched) - len(fleet.missed)
    alone = f"; {foreign} left alone" if foreign else ""
    stopped = len(fleet.ours) - len(fleet.counted)
    rest = f"; {stopped} stopped, to start with it{alone}" if stopped else alone
    if not fleet.counted:
        return f"Version {record.version} is ready; no target runs{rest}."
    who = f"All {len(fleet.counted)} targets run" if len(fleet.counted) > 1 else "The only target runs"
    return f"{who} {record.version}{rest}."
