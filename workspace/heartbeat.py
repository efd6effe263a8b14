"""Tell the platform regularly that this workspace lives, what it runs and how busy it is.

A thread of its own sends the heartbeats: agent SDKs block the event loop for minutes, and a busy workspace
must not look dead. No failure here reaches the workspace.
"""

import json
import logging
import threading
from dataclasses import dataclass

from builtin_tools.security import Scrubber
from status import StatusBoard
from task_ledger import TaskLedger

PATH = "/registry/heartbeat"
TIMEOUT_SECONDS = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HeartbeatSettings:
    """Where heartbeats go, in whose name, and the pause between them."""

    platform_url: str
    workspace_id: str
    interval_seconds: float


class Heartbeat:
    """Sends `POST /registry/heartbeat` until the process ends."""

    def __init__(
        self, settings: HeartbeatSettings, *, board: StatusBoard, ledger: TaskLedger, scrubber: Scrubber
    ) -> None:
        self._settings = settings
        self._board = board
        self._ledger = ledger
        self._scrubber = scrubber
        self._failures = 0

    def start(self) -> None:
        """Send the first heartbeat now and then one every interval."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def payload(self) -> dict[str, object]:
        """Return the body of the next heartbeat."""
        document = self._board.document()
        workload = self._ledger.workload()
        rate, sample = self._ledger.error_rate()
        current = next((task.title for task in self._ledger.open_tasks() if task.running), "")
        return {
            "workspace_id": self._settings.workspace_id,
            "error_rate": rate,
            "sample_error": self._scrubber.scrub(sample),
            "active_tasks": workload.active + workload.queued,
            "current_task": current,
            "uptime_seconds": int(self._board.uptime_seconds()),
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
            pause.wait(self._settings.interval_seconds)

    def _send(self) -> None:
        import urllib.request  # noqa: PLC0415 - a workspace without a platform does not pay for it

        request = urllib.request.Request(  # noqa: S310 - the environment check admits http and https only
            f"{self._settings.platform_url}{PATH}",
            data=json.dumps(self.payload()).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            response.read()

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        # Ten minutes of an absent platform must not fill the log: say it at once, then every tenth time.
        if self._failures % 10 == 1:
            logger.warning("Serving on although heartbeat %d in a row failed: %s", self._failures, error)
