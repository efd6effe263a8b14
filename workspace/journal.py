"""Write down what happens as it happens, so that a process that is killed leaves more than its last snapshot.

The file `runtime-journal-N.jsonl` holds what came after the snapshot that names N. A new snapshot begins a new journal,
so that no line is ever read twice. Lines are not flushed to the disk one by one: they outlive the process, and only a
machine that fails takes the last ones with it.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PREFIX, SUFFIX = "runtime-journal-", ".jsonl"
MAX_BYTES = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


class Journal:
    """The journal of one process. Safe from any thread; a folder that cannot be written to costs no turn."""

    def __init__(self, folder: Path, *, when_long: Callable[[], object] = lambda: None) -> None:
        """`when_long` is called once the file is so long that a snapshot should take its place."""
        self.number = 0
        self._when_long = when_long
        self._size = 0
        self._folder = folder
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._failing = False

    def add(self, kind: str, value: object) -> None:
        """Write one line."""
        line = json.dumps([kind, value], separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                if not self._failing:
                    logger.warning(
                        "Keeping tasks in memory only: %s cannot be written: %s", self._path(), error
                    )
                self._failing = True
            else:
                self._failing = False
                self._size += len(line)
            is_long = self._size > MAX_BYTES
            if is_long:
                self._size = 0
        if is_long:
            self._when_long()

    def replay(self, number: int | None) -> Iterator[tuple[str, Any]]:
        """Read the lines of journal `number`, by default of the newest there is, and go on with it.

        A line that was cut off or damaged is left out and counted in the log.
        """
        self.number = self.newest() if number is None else number
        try:
            content = self._path().read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("Starting without the latest tasks: %s cannot be read: %s", self._path(), error)
            return
        damaged = 0
        for line in filter(None, content.split(b"\n")):
            try:
                kind, value = json.loads(line)
            except (ValueError, TypeError):
                damaged += 1
                continue
            yield kind, value
        if damaged:
            logger.warning("Left out %d damaged lines of %s", damaged, self._path())

    def newest(self) -> int:
        """Return the number of the newest journal there is; 0 without any."""
        return max(self._numbers(), default=0)

    def begin(self, number: int) -> None:
        """Go on with another journal; the others are not needed any more."""
        with self._lock:
            self._close()
            self.number, self._size = number, 0
            for other in self._numbers() - {number}:
                with contextlib.suppress(OSError):
                    self._path(other).unlink()

    def _write(self, line: bytes) -> None:
        # What a full disk or a kill cut off must not be glued to this line.
        start = b"\n" if self._failing or self._descriptor is None else b""
        if self._descriptor is None:
            self._descriptor = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.write(self._descriptor, start + line) != len(start + line):
            raise OSError("the disk is full")

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _path(self, number: int | None = None) -> Path:
        return self._folder / f"{PREFIX}{self.number if number is None else number}{SUFFIX}"

    def _numbers(self) -> set[int]:
        names = (path.name for path in self._folder.glob(f"{PREFIX}*{SUFFIX}"))
        numbers = (name.removeprefix(PREFIX).removesuffix(SUFFIX) for name in names)
        return {int(number) for number in numbers if number.isdecimal()}
