"""What was read from the world, or why it could not be read: never a guess, never yesterday's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Self, TypeVar

from controller.model.errors import Problem, Terminal, Waiting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value read in this pass."""

    value: T


@dataclass(frozen=True, slots=True)
class Unknown:
    """A source that could not be read: neither stale nor fresh. `since` is aware UTC.

    `stalled` is the reason word where nothing but a person can help, as with credentials that are refused, and `awaited`
    where somebody else has yet to make it; None where it may pass by itself.
    """

    reason: str
    since: datetime
    stalled: str | None = None
    awaited: str | None = None

    @classmethod
    def of(cls, problem: Problem, since: datetime) -> Self:
        """Return what `problem` leaves of a source."""
        return cls(
            str(problem),
            since,
            stalled=problem.reason if isinstance(problem, Terminal) else None,
            awaited=problem.reason if isinstance(problem, Waiting) else None,
        )


Observed = Known[T] | Unknown
