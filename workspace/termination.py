"""End the process in time: SIGTERM starts the wind-down, and a thread makes sure that it ends.

The handler works while the event loop is blocked by an adapter, and a second signal changes nothing.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from lifecycle import Lifecycle

# The part of the grace period kept for the snapshot and for answers that are under way.
RESERVE_SECONDS = 1.0
# However short the grace period: an orderly end of an idle workspace takes milliseconds, not seconds.
MIN_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Termination:
    """Turns the first SIGTERM or SIGINT into `requested`, and ends a process that cannot end itself."""

    def __init__(self, lifecycle: Lifecycle, *, grace_seconds: float, last_words: Callable[[], None]) -> None:
        self.requested = asyncio.Event()
        self.task_seconds = max(0.0, grace_seconds - RESERVE_SECONDS)
        self._lifecycle = lifecycle
        self._end_seconds = max(grace_seconds, MIN_SECONDS)
        self._last_words = last_words
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        """Take over the signals; to be called on the event loop, in the main thread."""
        self._loop = asyncio.get_running_loop()
        # Not loop.add_signal_handler: its handlers wait for the loop, which an adapter may be blocking.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # A thread does the rest: this may have interrupted code that holds the locks we need.
        threading.Thread(target=self._begin, args=(signal.Signals(number).name,), daemon=True).start()

    def _begin(self, name: str) -> None:
        if not self._lifecycle.stop():
            logger.info("Ignoring another %s, this workspace is stopping already", name)
            return
        logger.info("Stopping on %s: taking no new work, waiting for running tasks", name)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.requested.set)
        threading.Event().wait(self._end_seconds)
        logger.error("Ending the process: the grace period is over and an adapter still holds it up")
        self._last_words()
        logging.shutdown()
        os._exit(0)


def exit_quietly_until_serving(before: Callable[[], None]) -> None:
    """Let a stop end a process that has done nothing yet: process 1 of a container ignores SIGTERM otherwise.

    `before` is called first.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        before()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
