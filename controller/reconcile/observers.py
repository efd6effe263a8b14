"""Everybody who is told of one loop's passes and actions, in the order in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controller.model.actions import Action
from controller.reconcile.result import Pass


class Observer(Protocol):
    """Whoever is told: see `Reconciler`."""

    def on_pass(self, turn: Pass) -> None:
        """Take in a pass."""

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Take in that an action starts, ended well, or failed."""


@dataclass(slots=True)
class Observers:
    """Passes on to each of `members`, who may join at any time."""

    members: list[Observer]

    def on_pass(self, turn: Pass) -> None:
        """Tell all of a pass."""
        for member in self.members:
            member.on_pass(turn)

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Tell all of an action."""
        for member in self.members:
            member.on_action(action, outcome)
