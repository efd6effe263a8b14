"""Plans: the actions that may go now, what was tried before, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.api.conditions import Reason
from controller.model.actions import Action
from controller.model.wave import Turn


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an action did not succeed.

    `retry_time` is when it may be tried again (aware UTC); None means: not before something changes.
    """

    reason: str
    message: str
    retry_time: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why some of what is wanted may not begin now, although nothing is wrong.

    `reason` is one of the vocabulary. `until` is when it ends by itself (aware UTC), None where a person has to end it; `hash`
    names what they would approve.
    """

    reason: Reason
    message: str
    until: datetime | None = None
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What this process is doing and what it tried: by the keys of actions.

    Losing it costs at most one more attempt of an action whose effect is found done or undone by the next pass.
    """

    in_flight: frozenset[str] = frozenset()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)
    """What actions under way wait for, one line each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions that may go now, together, and when to look again if nothing wakes us (aware UTC).

    `failed` are wanted actions that did not succeed and may not be tried (yet), each with its failure. `superseded`
    are the keys of work under way that nobody wants any more and that may be cut off anywhere. `patience` is for how long
    it is worth waiting for somebody else, who alone can bring it on; None while something is to be done, under way, or
    to be tried again at a known time. `turn` is how far the waves of a version that is public have come; None where the document
    names none. `stop` is what keeps actions from beginning that are wanted and are not in `actions`; None where nothing does.
    """

    actions: tuple[Action, ...]
    failed: tuple[tuple[Action, Failure], ...]
    look_again: datetime
    superseded: frozenset[str] = frozenset()
    patience: timedelta | None = None
    turn: Turn | None = None
    stop: Stop | None = None
