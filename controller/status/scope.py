"""All that one pass knows about an object, for whoever says what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.plan import Plan, Progress
from controller.plan.state import State


@dataclass(frozen=True, slots=True)
class Scope:
    """All that one pass knows about an object."""

    document: WorkspaceRuntime
    generation: int
    observation: Observation
    state: State
    plan: Plan
    progress: Progress
