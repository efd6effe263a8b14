"""Count starts that never came to serve, and stop trying after a few: what is wrong then is for a person to change.

A container that is restarted whenever it ends would otherwise fail for hours, a few times a minute, and the one line
that says why would be lost among its repetitions. Who has used up the budget stays up without serving, says why, and
tries again when config.yaml changes, or after a while.
"""

import contextlib
import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILURES_FILE = "runtime-failures.json"
BUDGET = 5
# Failures that are older say nothing of what is wrong now.
WINDOW_SECONDS = 3600.0

CONFIG_FILE = "config.yaml"
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Starts in a row that did not come to serve, and how the latest of them ended."""

    count: int
    reason: str


class CrashBudget:
    """Remembers failed starts of this very container, as it is configured now, in the config folder.

    Another image, another container and another configuration begin anew: a version that is put back must not pay for
    the one that failed.
    """

    def __init__(self, folder: Path, *, content_sha256: str, environ: Mapping[str, str] = os.environ) -> None:
        self._path = folder / FAILURES_FILE
        self._config = config = folder / CONFIG_FILE
        self._stamp = _stamp(config)  # before it is read: what is saved a moment later is a change
        told = [socket.gethostname(), content_sha256, environ.get("ADAPTER_MODULE", "")]
        with contextlib.suppress(OSError):
            told.append(hashlib.sha256(config.read_bytes()).hexdigest())
        self._key = hashlib.sha256("\n".join(told).encode()).hexdigest()
        self._saved = self._read()
        self._begun = False

    def begin(self) -> Failures | None:
        """Note that a start begins; return the failures before it when they have used up the budget."""
        recent = [
            moment
            for moment in self._saved["moments"]
            # A clock that was put back must not keep what lies in its future for ever.
            if 0 <= time.time() - moment < WINDOW_SECONDS
        ]
        if len(recent) >= BUDGET:
            return Failures(count=len(recent), reason=self._saved["reason"])
        self._saved = {
            "key": self._key,
            "moments": [*recent, time.time()],
            "reason": "the process ended without a word, as one does that is killed",
        }
        self._begun = True
        self._write()
        return None

    def failed(self, reason: str) -> None:
        """Note how this start ended."""
        self._saved["reason"] = reason
        self._write()

    def withdraw(self) -> None:
        """Let this start not count: it was told to stop before anybody knows how it would have ended."""
        if self._begun:
            self._saved["moments"].pop()
            self._write()

    def over(self) -> None:
        """Forget all failures: this start came to serve."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def wait_for_change(self, failures: Failures) -> None:
        """Say why nothing is tried any more, and return when config.yaml has changed, or what failed is long ago."""
        logger.critical(
            "Not starting: %d starts in a row failed, the latest with: %s; correct that and save %s, "
            "or start another container; until then this one only waits",
            failures.count,
            failures.reason,
            self._config,
        )
        deadline = time.monotonic() + WINDOW_SECONDS
        while _stamp(self._config) == self._stamp and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        logger.info("Ending, to be started again")

    def _read(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {"key": self._key, "moments": [], "reason": ""}
        try:
            saved = json.loads(self._path.read_text(encoding="utf-8"))
            moments = [float(moment) for moment in saved["moments"]]
            return (
                {**nothing, "moments": moments, "reason": str(saved["reason"])}
                if saved["key"] == self._key
                else nothing
            )
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("Counting failed starts anew: %s cannot be used: %s", self._path, error)
            return nothing

    def _write(self) -> None:
        beside = self._path.with_name(f".{FAILURES_FILE}")
        try:
            beside.write_text(json.dumps(self._saved), encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            logger.debug("Not counting starts: %s cannot be written: %s", self._path, error)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
