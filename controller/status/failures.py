"""Which failures and waits keep an object from going on: the one that people should read first."""

from __future__ import annotations

from controller.model.plan import Failure
from controller.plan.delivery import Delivery
from controller.plan.state import Contested, Undelivered, outstanding_of
from controller.status.scope import Scope
from controller.status.standing import about_others, templates_of
from controller.status.verdict import Verdict, listed


def awaited_of(scope: Scope) -> list[Delivery]:
    """Return what is all that is left and may still come: nobody has failed to deliver it."""
    if not isinstance(scope.state, Undelivered):
        return []
    stuck = {name for action, _ in scope.plan.failed for name in templates_of(action)}
    return [each for each in scope.state.outstanding.deliveries if each.template not in stuck]


def problem_of(scope: Scope) -> Verdict | None:
    """Return the failure that people should read first: one that waits for them before one that will be retried."""
    final = [failure for failure in failures_of(scope) if failure.retry_time is None]
    failures = final or failures_of(scope)
    if not failures:
        return None
    more = f" (and {len(final) - 1} more)" if len(final) > 1 else ""
    return Verdict("False", failures[0].reason, f"{failures[0].message}{more}")


def failures_of(scope: Scope) -> list[Failure]:
    """Return what keeps the object from going on: not what its other targets do not wait for, while these move."""
    last = isinstance(scope.state, Undelivered | Contested)
    contested = contested_of(scope) if last else None
    failures = [failure for action, failure in scope.plan.failed if last or not about_others(scope, action)]
    return [*failures, *([contested] if contested is not None else [])]


def contested_of(scope: Scope) -> Failure | None:
    """Return which moving tags somebody else moved, as one failure that waits for its owner's word."""
    contests = outstanding_of(scope.state).contests
    if not contests:
        return None
    first, *others = contests
    more = f" ({len(others)} more: {listed([each.tag for each in others])})" if others else ""
    return Failure(first.reason, f"{first.message}{more}", None)
