"""Takes secrets out of text that people will read: log tails and messages end up in status, events and files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

MASK: Final = "***"
_SHORTEST: Final = 6
"""Shorter values are words that would be blotted out everywhere and hide nothing."""

_SECRET_NAME: Final = re.compile(
    r"TOKEN|SECRET|PASS(WORD|WD|PHRASE)?$|API_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE
)
_PATTERNS: Final = (
    # user information in URLs
    re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE),
    # HTTP authorization
    re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
    # NAME=value and "name": "value" where the name says that it is secret
    re.compile(
        r"(?P<keep>\b[\w-]*(?:token|secret|password|passwd|api[_-]?key|private[_-]?key)\b[\"']?\s*[=:]\s*[\"']?)"
        r"[^\s\"',;&]{3,}",
        re.IGNORECASE,
    ),
    # tokens that carry their maker's prefix
    re.compile(
        r"(?P<keep>)\b(?:gh[pousr]_|github_pat_|glpat-|pypi-|sk-|xox[abpr]-|AKIA|AIza)[A-Za-z0-9_-]{8,}"
    ),
    # JSON web tokens
    re.compile(r"(?P<keep>)\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
)


def secret_values(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the values of an environment whose names say that they are secret."""
    return frozenset(value for name, value in environment.items() if _SECRET_NAME.search(name))


def redact(text: str, known: Collection[str] = ()) -> str:
    """Return text with the known secrets, and what looks like one, replaced by `***`."""
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def _masked(match: re.Match[str]) -> str:
    at = "@" if match.group().endswith("@") else ""
    return f"{match['keep']}{MASK}{at}"
