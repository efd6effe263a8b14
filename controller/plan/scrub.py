"""Blanks secrets in the last lines of a failed container before they travel into results, logs and status. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_BLANK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|passphrase|credential|auth|cookie|private|dsn|_url$|_uri$", re.IGNORECASE
)
_SHORTEST_SECRET: Final = 6
"""Shorter values (`1`, `true`, a port) would blank half of every line and protect nothing."""
_USER_INFO: Final = re.compile(r"(?<=://)[^\s/@]+(?=@)")
_BEARER: Final = re.compile(r"(?i)(?<=bearer )\S+")
_LONGEST_LINE: Final = 500


def scrub(lines: Iterable[str], env: Iterable[str]) -> tuple[str, ...]:
    """Return `lines` without the values of variables in `env` (`NAME=value`) whose names look secret.

    User information in URLs and bearer tokens are blanked too. A value that is a URL is only blanked as a whole when
    it carries user information or a query, because bare addresses are what an error is about.
    """
    secrets = sorted(
        {
            value
            for name, _, value in (line.partition("=") for line in env)
            if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name) and not _is_bare_url(value)
        },
        key=len,
        reverse=True,
    )
    return tuple(_blanked(line, secrets) for line in lines)


def _is_bare_url(value: str) -> bool:
    return re.fullmatch(r"https?://[^\s@?#]+", value) is not None


def _blanked(line: str, secrets: list[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, _BLANK)
    line = _BEARER.sub(_BLANK, _USER_INFO.sub(_BLANK, line))
    return line[:_LONGEST_LINE]
