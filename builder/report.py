"""What a builder run says of itself when it ends: one line of JSON."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

REPORT_LIMIT_BYTES: Final = 4_000
"""Kubernetes truncates a termination message at 4,096 bytes; a report stays below it."""


class Outcome(enum.IntEnum):
    """How a run ended; the value is the exit code of the process."""

    DONE = 0
    REFUSED = 10
    """The input is wrong: someone must change it before the same run can succeed."""
    RETRY = 20
    """The world was not ready (network, rate limit, 5xx): the same run may succeed later."""
    FAILED = 30
    """Someone else's fault, who is named: for example a template whose image does not build."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run says of itself when it ends.

    `reason` is an enumerated CamelCase word, `message` one line for people, `facts` the verb's own results
    (described at the verb's stage).
    """

    verb: str
    outcome: Outcome
    reason: str
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the report as one line of JSON of at most `REPORT_LIMIT_BYTES` bytes.

        The fact `requires`, which a wheel has as many of as it likes, is left out where it does not fit; see
        `wheel_requires`.

        Raises:
            ValueError: the facts alone do not fit; a verb must keep its facts small.
        """
        document = {
            "verb": self.verb,
            "outcome": self.outcome.name,
            "reason": self.reason,
            "message": self.message,
            "facts": self.facts,
        }
        line = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if len(line.encode()) > REPORT_LIMIT_BYTES and "requires" in self.facts:
            document["facts"] = {key: value for key, value in self.facts.items() if key != "requires"}
            line = json.dumps(document, sort_keys=True, separators=(",", ":"))
        excess = len(line.encode()) - REPORT_LIMIT_BYTES
        if excess > 0 and len(self.message) > excess + 1:
            document["message"] = self.message[: len(self.message) - excess - 8] + "…"
            line = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if len(line.encode()) > REPORT_LIMIT_BYTES:
            raise ValueError(
                f"the report of {self.verb} has {len(line.encode())} bytes, over {REPORT_LIMIT_BYTES}: its facts are too large"
            )
        return line

    @classmethod
    def from_line(cls, line: str) -> Report:
        """Read a report back; raises ValueError when the line is none."""
        try:
            document = json.loads(line)
            return cls(
                verb=document["verb"],
                outcome=Outcome[document["outcome"]],
                reason=document["reason"],
                message=document["message"],
                facts=document["facts"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a builder report: {line[:200]!r}") from error
