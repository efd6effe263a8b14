"""Whoever boots candidates and asks them, in an engine or in a cluster: what actions know of it."""

from __future__ import annotations

from typing import Protocol

from controller.api.v1alpha1 import Registry
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed


class Prover(Protocol):
    """The place where one object's candidates are booted."""

    async def platform(self) -> str:
        """Return what candidates are booted on there, as `linux/amd64`. Raises Transient when it does not answer."""
        ...

    async def prove(self, registry: Registry, order: ProbeOrder) -> ProbePassed | ProbeFailed:
        """Boot `order.image`, which `registry` says how to get, let it answer two turns, and say whether it passes.

        What was booted goes in every case, also on cancellation; what a killed run left of this template goes first.

        Raises:
            Transient, NotFound, Terminal: the place failed, or cannot have the image; nothing is known of the candidate.
        """
        ...
