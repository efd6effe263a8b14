"""Carry conversations, tasks and webhooks over the end of this process, in files of the config folder.

The snapshot is written when the process stops as it should. What came after the last one stands in the journal, so
that a killed process loses no finished task either.
"""

import contextlib
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conversations import Conversations
from journal import Journal
from push_configs import PushConfigs
from task_ledger import TaskLedger
from task_store import WorkspaceTaskStore
from whole_file import replace_text

SNAPSHOT_FILE = "runtime-snapshot.json"
FORMAT = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What is carried over."""

    conversations: Conversations
    tasks: WorkspaceTaskStore
    webhooks: PushConfigs


class Snapshot:
    """Writes and restores `runtime-snapshot.json`, and the journal beside it."""

    def __init__(self, folder: Path, journal: Journal, remembered: Remembered, ledger: TaskLedger) -> None:
        self._path = folder / SNAPSHOT_FILE
        self._journal = journal
        self._remembered = remembered
        self._ledger = ledger

    def write(self) -> None:
        """Replace the file atomically. A folder that cannot be written to is logged, since we are stopping."""
        open_tasks = self._ledger.open_tasks()
        number = self._journal.number + 1
        document = {
            "format": FORMAT,
            "writtenAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "journal": number,
            "openTasks": [
                {"taskId": task.task_id, "contextId": task.context_id, "running": task.running}
                for task in open_tasks
            ],
            "conversations": self._remembered.conversations.export(),
            "tasks": self._remembered.tasks.export(),
            "webhooks": self._remembered.webhooks.export(),
        }
        if not document["tasks"] and not self._path.exists():
            return
        try:
            replace_text(self._path, json.dumps(document, separators=(",", ":")))
        except OSError as error:
            logger.error("Losing conversations and tasks: %s cannot be written: %s", self._path, error)  # noqa: TRY400 - the cause is the text
            return
        self._journal.begin(number)
        logger.info("Wrote %s with %d open tasks", self._path, len(open_tasks))

    async def restore(self) -> list[str]:
        """Take over what an earlier process left; return the ids of tasks that its end cut short.

        A file that cannot be used is kept aside and named in the log.
        """
        interrupted: list[str] = []
        saved = self._read()
        lines = list(self._journal.replay(saved["journal"] if saved else None))
        if saved is None and not lines:
            return interrupted
        try:
            saved = _continued(saved or {"conversations": {}, "tasks": [], "webhooks": []}, lines)
            self._remembered.conversations.restore(saved["conversations"])
            interrupted = await self._remembered.tasks.restore(saved["tasks"])
            await self._remembered.webhooks.restore(saved["webhooks"])
        except Exception as error:  # noqa: BLE001 - no content of these files may keep a workspace from starting
            self._keep_aside(error)
            return interrupted
        logger.info(
            "Restored %d conversations and %d tasks", len(saved["conversations"]), len(saved["tasks"])
        )
        if interrupted:
            logger.warning("Marked tasks failed that the last stop cut short: %s", ", ".join(interrupted))
        if lines:
            self.write()
        return interrupted

    def _read(self) -> dict[str, Any] | None:
        try:
            saved: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
            if saved["format"] != FORMAT:
                raise ValueError(f"its format is {saved['format']!r}, this version reads {FORMAT}")  # noqa: TRY301 - one way for all that is wrong with it
            # An earlier version of the runtime wrote neither of these.
            return {"journal": self._journal.newest() + 1, "webhooks": [], **saved}
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - as in restore
            self._keep_aside(error)
            return None

    def _keep_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.unusable-{int(time.time())}")
        with contextlib.suppress(OSError):
            self._path.rename(aside)
        logger.warning(
            "Starting without the saved state: %s is unusable (%s), kept as %s", self._path, error, aside.name
        )


def _continued(saved: dict[str, Any], lines: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return what was saved with what the journal tells happened since."""
    tasks = {task["id"]: task for task in saved["tasks"]}
    webhooks = {(item["config"]["taskId"], item["config"]["id"]): item for item in saved["webhooks"]}
    conversations = {context: list(exchanges) for context, exchanges in saved["conversations"].items()}
    for line in lines:
        match line:
            case ("task", {"id": str(task_id)} as task):
                tasks[task_id] = task
            case ("exchange", {"contextId": str(context), "user": str(), "agent": str()} as exchange):
                conversations.setdefault(context, []).append(exchange)
            case ("webhook", {"config": {"taskId": str(task_id), "id": str(config_id)}} as webhook):
                webhooks[task_id, config_id] = webhook
            case ("no-webhook", {"taskId": str(task_id), "id": str(config_id)}):
                webhooks.pop((task_id, config_id), None)
            case (kind, _):
                logger.warning("Leaving out a line %r of the journal: this version cannot read it", kind)
    return {
        "conversations": conversations,
        "tasks": list(tasks.values()),
        "webhooks": [item for item in webhooks.values() if item["config"]["taskId"] in tasks],
    }
