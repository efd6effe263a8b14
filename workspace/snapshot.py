"""Carry conversations and tasks over a replacement of this process, in a file of the config folder."""

import contextlib
import json
import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conversations import Conversations
from task_ledger import TaskLedger
from task_store import WorkspaceTaskStore

SNAPSHOT_FILE = "runtime-snapshot.json"
FORMAT = 1

logger = logging.getLogger(__name__)


class Snapshot:
    """Writes and restores `runtime-snapshot.json`."""

    def __init__(
        self, folder: Path, *, conversations: Conversations, tasks: WorkspaceTaskStore, ledger: TaskLedger
    ) -> None:
        self._path = folder / SNAPSHOT_FILE
        self._conversations = conversations
        self._tasks = tasks
        self._ledger = ledger

    def write(self) -> None:
        """Replace the file atomically. A folder that cannot be written to is logged, since we are stopping."""
        open_tasks = self._ledger.open_tasks()
        document = {
            "format": FORMAT,
            "writtenAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "openTasks": [
                {"taskId": task.task_id, "contextId": task.context_id, "running": task.running}
                for task in open_tasks
            ],
            "conversations": self._conversations.export(),
            "tasks": self._tasks.export(),
        }
        if not document["tasks"] and not self._path.exists():
            return
        try:
            _replace(self._path, json.dumps(document, separators=(",", ":")))
        except OSError as error:
            logger.error("Losing conversations and tasks: %s cannot be written: %s", self._path, error)  # noqa: TRY400 - the cause is the text
            return
        logger.info("Wrote %s with %d open tasks", self._path, len(open_tasks))

    async def restore(self) -> None:
        """Take over what an earlier process left. A file that cannot be used is kept aside and named in the log."""
        try:
            saved = _read(self._path)
            self._conversations.restore(saved["conversations"])
            interrupted = await self._tasks.restore(saved["tasks"])
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - no content of this file may keep a workspace from starting
            self._keep_aside(error)
            return
        logger.info(
            "Restored %d conversations and %d tasks", len(saved["conversations"]), len(saved["tasks"])
        )
        if interrupted:
            logger.warning("Marked tasks failed that the last stop cut short: %s", ", ".join(interrupted))

    def _keep_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.unusable-{int(time.time())}")
        with contextlib.suppress(OSError):
            self._path.rename(aside)
        logger.warning(
            "Starting without the saved state: %s is unusable (%s), kept as %s", self._path, error, aside.name
        )


def _read(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if saved["format"] != FORMAT:
        raise ValueError(f"its format is {saved['format']!r}, this version reads {FORMAT}")
    return saved


def _replace(path: Path, text: str) -> None:
    """Write beside, flush to disk, rename: a reader or a crash sees the old file or the new one."""
    # A name for each thread: at the end of the grace period another thread may write while the loop still does.
    beside = path.with_name(f".{path.name}.{threading.get_ident()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
