"""An event loop whose clock jumps to the next timer instead of waiting for it: hours of a rollout in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class _JumpingSelector(selectors.SelectSelector):
    """Reports what is ready now; where the loop would sleep, moves its clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("Nothing is scheduled and nobody can wake this loop: it would hang for ever.")
        if not ready and timeout is not None:
            self.now += max(0.0, timeout)
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` from second 0 of a virtual clock on."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(main)


def seconds() -> float:
    """The seconds since the virtual clock began; only inside `run`."""
    return asyncio.get_running_loop().time()


def now() -> datetime:
    """The same as a time of day, which begins at noon."""
    return NOON + timedelta(seconds=seconds())
