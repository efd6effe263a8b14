"""How far a rollout in waves has come: which wave goes now, and when the next one may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """Which targets of a release may go now.

    `plan_hash` names the release's images and the waves that they go in. `waves` gives each target that is ours the name of
    its wave, by id; `open` are the ids of those in the wave `name` and the ones before. `proven_time` is since when all of
    them have proven the release, None while they have not; `soaks_until` is when the next wave begins (both aware UTC).
    """

    plan_hash: str
    name: str
    waves: Mapping[str, str]
    open: frozenset[str]
    proven_time: datetime | None = None
    soaks_until: datetime | None = None

    def lets(self, target: str) -> bool:
        """Whether the target of this id may go now."""
        return target in self.open
