"""Decide whether this workspace takes new work: the one state behind HTTP, the control socket and signals."""

import logging
import threading
import time
from typing import Literal

from runtime_wedge import Wedge
from task_ledger import TaskLedger, Ticket

logger = logging.getLogger(__name__)

State = Literal["starting", "serving", "draining", "wedged"]

DEFAULT_DRAIN_SECONDS = 900
MAX_DRAIN_SECONDS = 86_400


class Refusal(Exception):  # noqa: N818 - an answer to the caller, not an error of ours
    """New work is not taken now.

    Attributes:
        reason: STARTING, DRAINING or OVERLOADED.
        retry_after_seconds: when it may be worth another try.
    """

    def __init__(self, reason: str, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Lifecycle:
    """starting → serving ⇄ draining → stopped, plus wedged at any time. Every method is safe from any thread."""

    def __init__(self, ledger: TaskLedger, wedge: Wedge, *, max_waiting: int) -> None:
        self._ledger = ledger
        self._wedge = wedge
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._ready = False
        self._stopping = False
        self._drain_until: float | None = None
        self._timer: threading.Timer | None = None

    def state(self) -> State:
        """Return the state to report. Wedged wins: waiting for the tasks of a stuck process is useless."""
        if self._wedge.reason() is not None:
            return "wedged"
        with self._lock:
            if self._draining():
                return "draining"
            return "serving" if self._ready else "starting"

    def ready(self) -> None:
        """Take work from now on."""
        with self._lock:
            self._ready = True

    def admit(self) -> Ticket:
        """Accept one message.

        Acceptance and the start of a drain exclude each other, so that a drain that reports no tasks has none.

        Raises:
            Refusal: starting, draining, or too many messages wait already.
        """
        with self._lock:
            if self._draining():
                raise Refusal(
                    "DRAINING",
                    "This workspace is draining: it finishes its tasks and takes no new ones",
                    self._retry_after(),
                )
            if not self._ready:
                raise Refusal("STARTING", "This workspace is starting and takes no work yet", 1)
            if self._ledger.workload().queued >= self._max_waiting:
                raise Refusal("OVERLOADED", f"{self._max_waiting} messages wait already", 5)
            return self._ledger.open()

    def drain(self, timeout_seconds: float) -> None:
        """Take no new work for `timeout_seconds`, counted from now also when a drain is under way.

        Whoever drains must stop this process or renew the drain within that time. Otherwise the workspace
        takes work again by itself, so that a controller that died leaves no workspace drained for ever.
        """
        with self._lock:
            if self._stopping:
                return
            renewed = self._drain_until is not None
            self._drain_until = time.monotonic() + timeout_seconds
            self._restart_timer(timeout_seconds)
        workload = self._ledger.workload()
        logger.info(
            "%s for %g s, activeTasks=%d queuedTasks=%d",
            "Renewing the drain" if renewed else "Draining",
            timeout_seconds,
            workload.active,
            workload.queued,
        )

    def drain_on_signal(self) -> None:
        """Drain for the usual time; a drain under way, which somebody gave a time of its own, stays as it is."""
        with self._lock:
            if self._draining():
                return
        self.drain(DEFAULT_DRAIN_SECONDS)

    def resume(self) -> None:
        """End a drain now. Without effect when none is under way, or when the process is stopping."""
        with self._lock:
            if self._stopping or self._drain_until is None:
                return
            self._end_drain()
        logger.info("Taking work again, as asked")

    def stop(self) -> bool:
        """Take no new work until the process ends; False if that was said before."""
        with self._lock:
            first, self._stopping = not self._stopping, True
            self._end_drain()
            return first

    def _draining(self) -> bool:
        return self._stopping or self._drain_until is not None

    def _retry_after(self) -> int:
        # A replacement is back soon after the tasks end; a caller need not wait for the drain's deadline.
        return 5

    def _restart_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _end_drain(self) -> None:
        self._drain_until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        with self._lock:
            # A renewal may have come between the timer's end and this lock.
            if self._stopping or self._drain_until is None or time.monotonic() < self._drain_until:
                return
            self._end_drain()
        logger.warning("Taking work again: the drain's time passed and nobody stopped or renewed it")
