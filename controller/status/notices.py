"""What people are told of an object without asking: once for everything that it turns to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.conditions import ConditionType
from controller.api.status import Status


@dataclass(frozen=True, slots=True)
class Notice:
    """What an object has turned to: `kind` as `notifications[].on` has it, `reason` and `message` those of its condition."""

    object: str
    kind: str
    version: str
    reason: str
    message: str

    @property
    def title(self) -> str:
        """One line that stands alone."""
        return f"{self.object} {self.version}: {self.kind} ({self.reason})"

    def says_more_than(self, other: Notice | None) -> bool:
        """Whether somebody who was told `other` last has to hear of this one."""
        if other is None:
            return True
        return (self.kind, self.version, self.reason) != (other.kind, other.version, other.reason)


def notice_of(key: str, version: str, status: Status) -> Notice | None:
    """Return what a status would be told as; None while work goes on, which nobody has to know."""
    ready = status.condition(ConditionType.READY)
    if ready is None:
        return None
    if status.held is not None:
        kind = "Held"
    elif status.condition(ConditionType.STALLED) is not None:
        kind = "Stalled"
    elif ready.status == "Unknown":
        kind = "Blocked"
    elif ready.status == "True":
        kind = "Done"
    else:
        return None
    return Notice(key, kind, version, ready.reason, ready.message)
