"""Whether the operator lives: when each object was looked at last, and whether the cluster answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.admin.health import STALE_SECONDS


@dataclass(slots=True)
class Vitals:
    """Signs of life of one process, in seconds of `clock`."""

    clock: Callable[[], float] = time.monotonic
    leading: bool = False
    _looked: dict[str, float] = field(default_factory=dict)
    _resting: set[str] = field(default_factory=set)
    _answered: float | None = None

    def looked(self, key: str) -> None:
        """Note that a pass of an object was made, or tried."""
        self._resting.discard(key)
        self._looked[key] = self.clock()

    def rests(self, key: str) -> None:
        """Note that an object waits for somebody's change, and is not looked at until then."""
        self.looked(key)
        self._resting.add(key)

    def forget(self, key: str) -> None:
        """Note that an object is no more."""
        self._looked.pop(key, None)
        self._resting.discard(key)

    def answered(self) -> None:
        """Note that the API server answered."""
        self._answered = self.clock()

    @property
    def stuck(self) -> tuple[str, ...]:
        """The objects whose last pass is too old, by `NAMESPACE/NAME`."""
        late = self.clock() - STALE_SECONDS
        return tuple(
            sorted(key for key, when in self._looked.items() if when < late and key not in self._resting)
        )

    @property
    def pass_age_seconds(self) -> float:
        """How old the oldest last pass of an object that is looked at is."""
        ages = [self.clock() - when for key, when in self._looked.items() if key not in self._resting]
        return max(ages, default=0.0)

    @property
    def ready(self) -> bool:
        """Whether it works, or the API server answered not long ago: a standby is as ready as the leader."""
        return self.leading or (self._answered is not None and self.clock() - self._answered < STALE_SECONDS)
