"""How fast and how careful targets are replaced."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from controller.api.v1alpha1._base import Document, matched

_PERCENTAGE: Final = r"[1-9][0-9]?%|100%"


def _amount(value: object) -> object:
    """Refuse in one sentence what neither side of the union takes; pydantic would complain once for each side."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if counts or (isinstance(value, str) and re.fullmatch(_PERCENTAGE, value)):
        return value
    raise ValueError(f"must be a whole number from 1, or a percentage from 1% to 100%, got {value!r}")


Amount = Annotated[
    int | str,
    Field(json_schema_extra={"minimum": 1, **matched(_PERCENTAGE)}),
    BeforeValidator(_amount),
]


class Drain(Document):
    """How long work in progress may hold a replacement up."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How long a busy target is asked to finish before `onTimeout` decides."""
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    """Wait: leave it, report it, ask again later. Proceed: replace it, work is cut."""


class Rollout(Document):
    """How fast and how careful targets are replaced."""

    max_unavailable: Amount = "25%"
    """How many targets may be down at a time; a percentage rounds down, at least 1."""
    drain: Drain = Drain()
    on_failure: Literal["Rollback", "Pause"] = "Rollback"
    """What happens to targets that already run a version which then failed on another one."""
