"""How far a rollout in waves has come: which wave goes now, and when the next one may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """Which targets of a release may go now.

    `plan_hash` names the release's images and the waves that they go in. `waves` gives each target that is ours the name of
    its wave, by id; `spare` is on how many targets of a wave the release may fail and go on; `promotes` says that moving
    tags may follow already; `open` are the ids of those in the wave `name` and the ones before. `proven_time` is since when all of
    them have proven the release, None while they have not; `soaks_until` is when the next wave begins (both aware UTC).
    """

    plan_hash: str
    name: str
    waves: Mapping[str, str]
    open: frozenset[str]
    spare: Mapping[str, int] = field(default_factory=dict)
    promotes: bool = False
    proven_time: datetime | None = None
    soaks_until: datetime | None = None

    def lets(self, target: str) -> bool:
        """Whether the target of this id may go now."""
        return target in self.open
