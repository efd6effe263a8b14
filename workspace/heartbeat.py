"""Tell the platform regularly that this workspace lives, what it runs and how busy it is.

A thread of its own sends the heartbeats: agent SDKs block the event loop for minutes, and a busy workspace
must not look dead. No failure here reaches the workspace.
"""

import logging
import threading
from dataclasses import dataclass

from builtin_tools.security import Scrubber
from platform_client import PlatformClient
from runtime_wedge import Wedge
from status import StatusBoard
from task_ledger import TaskLedger

PATH = "/registry/heartbeat"
FIRST_RETRY_SECONDS = 1.0
SERVER_ERROR = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """What heartbeats tell of: state and version, the work in hand, and why the process is stuck, if it is."""

    board: StatusBoard
    ledger: TaskLedger
    wedge: Wedge
    scrubber: Scrubber


class Heartbeat:
    """Sends `POST /registry/heartbeat` until the process ends."""

    def __init__(self, platform: PlatformClient, vitals: Vitals, *, interval_seconds: float) -> None:
        self._platform = platform
        self._vitals = vitals
        self._interval_seconds = interval_seconds
        self._registered = False
        self._failures = 0

    def start(self) -> None:
        """Send the first heartbeat now and then one every interval."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def payload(self) -> dict[str, object]:
        """Return the body of the next heartbeat."""
        board, ledger = self._vitals.board, self._vitals.ledger
        document = board.document()
        workload = ledger.workload()
        rate, sample = ledger.error_rate()
        current = next((task.title for task in ledger.open_tasks() if task.running), "")
        return {
            "workspace_id": self._platform.workspace_id,
            "error_rate": rate,
            # Whoever looks at a workspace that is stuck wants to know why, and not how an earlier turn failed.
            "sample_error": self._vitals.scrubber.scrub(self._vitals.wedge.reason() or sample),
            "active_tasks": workload.active + workload.queued,
            "current_task": current,
            "uptime_seconds": int(board.uptime_seconds()),
            "runtime_state": document["state"],
            "runtime_metadata": {
                "adapter": document["adapter"],
                "commit": document["commit"],
                "queued_tasks": workload.queued,
                "oldest_task_seconds": document["oldestTaskSeconds"],
            },
            "version": document["version"],
            "contentSha256": document["contentSha256"],
        }

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._send()
            except Exception as error:  # noqa: BLE001 - the platform's faults are not the workspace's
                self._note_failure(error)
            else:
                if self._failures:
                    logger.info("Reaching the platform again after %d failed heartbeats", self._failures)
                self._failures = 0
            pause.wait(self._pause_seconds())

    def _pause_seconds(self) -> float:
        """Return how long to wait: after a failure less at first, so that a short one hardly shows."""
        if not self._failures:
            return self._interval_seconds
        return min(self._interval_seconds, FIRST_RETRY_SECONDS * (1 << min(self._failures - 1, 16)))

    def _send(self) -> None:
        if not self._registered:
            self._register()
        self._platform.post(PATH, self.payload())

    def _register(self) -> None:
        import urllib.error  # noqa: PLC0415 - a workspace without a platform does not pay for it

        try:
            self._platform.register()
        except urllib.error.HTTPError as error:
            if error.code >= SERVER_ERROR:
                raise
            logger.warning("Going on without having registered with the platform: %s", error)
        self._registered = True

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        # Ten minutes of an absent platform must not fill the log: say it at once, then every tenth time.
        if self._failures % 10 == 1:
            logger.warning("Serving on although heartbeat %d in a row failed: %s", self._failures, error)
