"""The tasks under way, and whether new ones are taken."""

import threading
import time


class Work:
    """Counts tasks; while it drains, none begins."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._begun: list[float] = []
        self._draining_until = 0.0

    def begin(self) -> float | None:
        """Take a task; None while draining."""
        with self._lock:
            if self.draining:
                return None
            self._begun.append(time.monotonic())
            return self._begun[-1]

    def end(self, task: float) -> None:
        """It is over."""
        with self._lock:
            self._begun.remove(task)
            self._lock.notify_all()

    def drain(self, seconds: float) -> None:
        """Take no new task for so long; 0 takes them again at once."""
        self._draining_until = time.monotonic() + seconds

    def until_idle(self) -> None:
        """Wait until no task is left."""
        with self._lock:
            self._lock.wait_for(lambda: not self._begun)

    @property
    def draining(self) -> bool:
        """Whether new tasks are refused."""
        return time.monotonic() < self._draining_until

    def facts(self) -> dict[str, object]:
        """What `/runtime` says of it."""
        begun = list(self._begun)
        return {
            "state": "draining" if self.draining else "serving",
            "activeTasks": len(begun),
            "queuedTasks": 0,
            "oldestTaskSeconds": round(time.monotonic() - min(begun), 3) if begun else 0,
        }
