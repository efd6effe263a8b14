"""What was read from the world, or why it could not be read: never a guess, never yesterday's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value read in this pass."""

    value: T


@dataclass(frozen=True, slots=True)
class Unknown:
    """A source that could not be read: neither stale nor fresh. `since` is aware UTC."""

    reason: str
    since: datetime


Observed = Known[T] | Unknown
