"""Which condition reason an action's work goes under, while it runs and while it is tried again."""

from __future__ import annotations

from controller.api.conditions import Reason
from controller.model.actions import Action, Adopt, Cascade, Dispatch, Package, Probe, Publish, Replace, Tag
from controller.model.errors import Waiting


def stage_of(action: Action, error: Exception | None = None) -> Reason:
    """Return the reason of the stage that `action` belongs to; waiting for a target's work is a stage of its own."""
    match action:
        case Adopt() | Package() | Cascade():
            return Reason.BUILDING
        case Probe():
            return Reason.PROVING
        case Tag() | Publish():
            return Reason.PUBLISHING
        case Dispatch():
            return Reason.AWAITING_DELIVERY
        case Replace():
            return Reason.DRAINING if isinstance(error, Waiting) else Reason.ROLLING
        case _:
            return Reason.PROMOTING
