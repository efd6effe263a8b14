"""One turn of the loop, as observers see it, and how a run of turns ended."""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.plan import Plan
from controller.plan.state import State


@dataclass(frozen=True, slots=True)
class Pass:
    """One turn of the loop, as observers of progress see it."""

    document: WorkspaceRuntime
    state: State
    plan: Plan
    status: Status
    unread: tuple[str, ...] = ()
    """What could not be read, by what people call it."""
    seconds: float = 0.0
    """How long it took, from the first question to the written status."""


@dataclass(frozen=True, slots=True)
class Done:
    """What may run does so, or the milestone that was waited for is reached; targets on hold stay where they are."""

    status: Status


@dataclass(frozen=True, slots=True)
class Stalled:
    """Nothing moves until someone changes something."""

    reason: str
    message: str
    status: Status


@dataclass(frozen=True, slots=True)
class NotYet:
    """Only somebody else can bring it on, and nobody knows when."""

    reason: str
    message: str
    status: Status


Result = Done | Stalled | NotYet
