"""What became of the actions of this process, and when each may be tried again: back-off, and nothing else.

It is memory, not state: losing it costs one more attempt of each action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from controller.model.actions import Action, Cascade
from controller.model.errors import PartlyFailed, Problem, Terminal, Transient, Waiting
from controller.model.plan import Failure
from controller.reconcile.stages import stage_of

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 60.0
REPEATED_WITHIN: Final = timedelta(minutes=10)
"""An action that succeeds again within this time of its last success is being undone by something."""


def back_off(count: int) -> timedelta:
    """Return how long to wait after the `count`-th failure in a row, `count` from 1."""
    return timedelta(seconds=min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(count - 1, 30)))


@dataclass(slots=True)
class _Row:
    """Outcomes of one action, all the same way."""

    succeeded: bool
    count: int
    last_time: datetime
    failure: Failure | None = None


@dataclass(slots=True)
class Attempts:
    """The outcomes of actions, by their keys; times are aware UTC."""

    _rows: dict[str, _Row] = field(default_factory=dict)

    @property
    def failures(self) -> Mapping[str, Failure]:
        """Why each action that must wait has to; those that may be tried at once are not in it."""
        return {key: row.failure for key, row in self._rows.items() if row.failure is not None}

    def forget(self) -> None:
        """Let everything be tried anew: what is asked for has changed."""
        self._rows.clear()

    def failed(self, action: Action, error: Exception, now: datetime) -> None:
        """Note that `action` failed: a Terminal is kept until something changes, all else is tried again later.

        A cascade is noted template by template, so that neither what worked nor what failed for good is built anew
        beside another one.
        """
        for part, cause in _parts(action, error):
            row = self._row(part, succeeded=False, now=now)
            row.failure = _failure(part, cause, row.count, now)

    def succeeded(self, action: Action, now: datetime) -> None:
        """Note that `action` succeeded. One that has to be done again and again waits longer each time."""
        for part in action.parts if isinstance(action, Cascade) else (action,):
            row = self._row(part, succeeded=True, now=now)
            row.failure = None
            if row.count > 1:
                message = f"It was done {row.count} times and is wanted again: something undoes it."
                row.failure = Failure(stage_of(part), message, now + back_off(row.count - 1))

    def _row(self, action: Action, *, succeeded: bool, now: datetime) -> _Row:
        row = self._rows.get(action.key)
        goes_on = row is not None and row.succeeded == succeeded
        if row is None or not goes_on or (succeeded and now - row.last_time > REPEATED_WITHIN):
            row = self._rows[action.key] = _Row(succeeded=succeeded, count=0, last_time=now)
        row.count += 1
        row.last_time = now
        return row


def _parts(action: Action, error: Exception) -> Iterator[tuple[Action, Exception]]:
    """Yield what failed, each with its own error."""
    if not isinstance(action, Cascade):
        yield action, error
        return
    for part in action.parts:
        if not isinstance(error, PartlyFailed):
            yield part, error
        elif (cause := error.causes.get(part.builds[0].template)) is not None:
            yield part, cause


def _failure(action: Action, error: Exception, count: int, now: datetime) -> Failure:
    if isinstance(error, Terminal):
        return Failure(error.reason, _one_line(f"{error.message} {error.fix}"), None)
    delay = back_off(count)
    if isinstance(error, Transient | Waiting) and error.retry_after is not None:
        delay = timedelta(seconds=error.retry_after)
    text = str(error) if isinstance(error, Problem) else f"Unexpected {type(error).__name__}: {error}"
    return Failure(stage_of(action, error), f"{_one_line(text).rstrip('.')}; trying again.", now + delay)


def _one_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no message"
    return lines[0] if len(lines) == 1 else f"{lines[0]} (and {len(lines) - 1} more lines)"
