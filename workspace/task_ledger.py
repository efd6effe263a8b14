"""Count the work in hand, because whoever replaces this workspace believes these numbers.

A message counts from the moment it is accepted until its turn has ended, whether or not its caller still
listens. Numbers are read from other threads (control socket, heartbeats) while the event loop may be blocked.
"""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass

OUTCOMES_KEPT = 100


@dataclass(frozen=True, kw_only=True)
class OpenTask:
    """One accepted message that is not answered yet; `seconds` since it was accepted."""

    task_id: str
    context_id: str
    title: str
    running: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is in hand: turns that run, turns that wait, and the age of the oldest of them (0 if none)."""

    active: int
    queued: int
    oldest_seconds: float


class Ticket:
    """The place of one message in the ledger. Closing it twice is harmless."""

    def __init__(self, ledger: "TaskLedger") -> None:
        self._ledger = ledger
        self.accepted = time.monotonic()
        self.task_id = ""
        self.context_id = ""
        self.title = ""
        self.running = False
        self.claimed = False

    def claim(self) -> bool:
        """Take over the closing of this ticket; False if it is closed or another turn has taken it."""
        with self._ledger.lock:
            if self.claimed or self not in self._ledger.tickets:
                return False
            self.claimed = True
            return True

    def start(self) -> None:
        """The turn runs now."""
        with self._ledger.lock:
            self.running = True

    def close(self, *, failure: str | None = None, counts: bool = True) -> None:
        """The turn is over. `failure` is its error; `counts` is False when no turn ran (refused, cancelled)."""
        self._ledger.close(self, failure=failure, counts=counts)


class TaskLedger:
    """All open tickets, and how the latest turns ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tickets: dict[Ticket, None] = {}
        self._outcomes: deque[bool] = deque(maxlen=OUTCOMES_KEPT)
        self._last_failure = ""
        self._changed = asyncio.Event()

    def open(self) -> Ticket:
        """Accept one message."""
        ticket = Ticket(self)
        with self.lock:
            self.tickets[ticket] = None
        return ticket

    def close(self, ticket: Ticket, *, failure: str | None, counts: bool) -> None:
        """See `Ticket.close`."""
        with self.lock:
            if ticket not in self.tickets:
                return
            del self.tickets[ticket]
            if counts:
                self._outcomes.append(failure is None)
            if failure is not None:
                self._last_failure = failure
        self._changed.set()

    def workload(self) -> Workload:
        """Count what is in hand."""
        now = time.monotonic()
        with self.lock:
            active = sum(ticket.running for ticket in self.tickets)
            oldest = min((ticket.accepted for ticket in self.tickets), default=now)
            return Workload(active=active, queued=len(self.tickets) - active, oldest_seconds=now - oldest)

    def open_tasks(self) -> list[OpenTask]:
        """List what is in hand, oldest first."""
        now = time.monotonic()
        with self.lock:
            return [
                OpenTask(
                    task_id=ticket.task_id,
                    context_id=ticket.context_id,
                    title=ticket.title,
                    running=ticket.running,
                    seconds=now - ticket.accepted,
                )
                for ticket in self.tickets
            ]

    def error_rate(self) -> tuple[float, str]:
        """Return the share of failed turns among the latest hundred, and the text of the latest failure."""
        with self.lock:
            if not self._outcomes:
                return 0.0, ""
            return self._outcomes.count(False) / len(self._outcomes), self._last_failure

    async def until_idle(self, timeout_seconds: float) -> bool:
        """Wait until nothing is in hand; False when `timeout_seconds` pass first. Event loop only."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.tickets:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
