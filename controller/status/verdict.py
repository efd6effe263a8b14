"""One condition's verdict before its times are known, and the words that several conditions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.api.conditions import Reason
from controller.model.observed import Unknown

NAMES_LISTED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, reason and message of a condition before its times are known."""

    status: str
    reason: str
    message: str


def unread_text(source: str, why: str) -> str:
    """Return the sentence that says what could not be read, and why."""
    return f"The {source} cannot be read: {why}"


def unknown(source: str, seen: Unknown) -> Verdict:
    """Return the verdict on what a source would have told."""
    return Verdict("Unknown", Reason.UNKNOWN, unread_text(source, seen.reason))


def listed(items: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(items) - NAMES_LISTED} more" if len(items) > NAMES_LISTED else ""
    return ", ".join(items[:NAMES_LISTED]) + more
