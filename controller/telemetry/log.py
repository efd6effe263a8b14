"""The operator's log: one JSON object a line, with what is secret taken out of every text."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from controller.model.redaction import redact

FACTS: Final = "facts"
"""The name that `extra` gives the keys of a line under."""
_QUIET: Final = ("kopf", "aiohttp", "asyncio", "urllib3")
"""Libraries of which only warnings are for people who run this."""


class JsonLines(logging.Formatter):
    """Formats a record as ``{"time", "level", "message", ...}``; `known` gives the secrets that must not show."""

    def __init__(self, known: Callable[[], Collection[str]]) -> None:
        super().__init__()
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        facts: Mapping[str, Any] = getattr(record, FACTS, {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        known = self._known()
        return json.dumps(
            {key: redact(value, known) if isinstance(value, str) else value for key, value in line.items()}
        )


def write_log(known: Callable[[], Collection[str]] = frozenset) -> None:
    """Have everything that is logged in this process written to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(known))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
