"""Let an agent write down what must outlive a conversation, in a file of the config folder."""

import errno
import json
import logging
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from builtin_tools.tool import Tool

MEMORY_FILE = "memory.jsonl"
MAX_RECALLED = 200

logger = logging.getLogger(__name__)


class Memory:
    """Notes, one line of JSON each. Several processes may add to the same file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MEMORY_FILE

    def remember(self, text: str) -> str:
        """Write a note down.

        Raises:
            OSError: the file cannot be written.
        """
        note = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "text": text}
        line = f"{json.dumps(note, ensure_ascii=False)}\n".encode()
        # One write to a file opened for appending: notes of other processes are never in the middle of ours.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return f"Remembered: {text}"

    def recall(self) -> str:
        """Return the latest notes, oldest first, one per line.

        Raises:
            OSError: the file is there and cannot be read.
        """
        return "\n".join(deque(self._notes(), maxlen=MAX_RECALLED)) or "Nothing is remembered yet"

    def tools(self) -> tuple[Tool, ...]:
        """Return what an agent is offered."""
        return (
            Tool(
                name="remember",
                description="Write a fact down so that it is known in every later conversation.",
                parameters={"text": "the fact, in one sentence that is understood without its context"},
                run=self.remember,
            ),
            Tool(
                name="recall",
                description="Read everything that was written down with remember.",
                run=self.recall,
            ),
        )

    def _notes(self) -> Iterator[str]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        for number, line in enumerate(content.splitlines(), 1):
            try:
                note = json.loads(line)
                yield f"{note['at']} {note['text']}"
            except (ValueError, TypeError, KeyError):
                logger.warning("Leaving out line %d of %s: it is no note", number, self._path)
