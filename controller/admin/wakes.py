"""Turns any number of calls into a bounded number of wake-ups, and loses none: the last call is always followed by one.

A push of one image makes a call for each of its blobs before the one that matters, so a few wake-ups may follow each
other at once; a flood gets one in `REFILL_SECONDS`, since each costs a look at the whole world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

BURST: Final = 10
SPACING_SECONDS: Final = 0.1
REFILL_SECONDS: Final = 1.0


class Wakes:
    """Calls `wake` for what is told it; belongs to one running event loop."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._left = float(BURST)
        self._last = float("-inf")
        self._planned: asyncio.TimerHandle | None = None

    def tell(self) -> None:
        """Wake now, or as soon as it is due again."""
        if self._planned is None:
            loop = asyncio.get_running_loop()
            self._planned = loop.call_at(self._due(loop.time()), self._go)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._planned is not None:
            self._planned.cancel()

    def _due(self, now: float) -> float:
        """Return when the next wake-up may be, in the loop's time."""
        left = self._refilled(now)
        return max(now, self._last + SPACING_SECONDS, now + (1 - left) * REFILL_SECONDS if left < 1 else now)

    def _go(self) -> None:
        now = asyncio.get_running_loop().time()
        self._left = max(0.0, self._refilled(now) - 1)
        self._last, self._planned = now, None
        self._wake()

    def _refilled(self, now: float) -> float:
        return min(float(BURST), self._left + max(0.0, now - self._last) / REFILL_SECONDS)
