"""Take secrets out of text before it leaves the process in a log line, a heartbeat or a failed task."""

import os
import re
from collections.abc import Mapping

MASK = "[secret]"
MIN_SECRET_CHARACTERS = 8

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE
)
# A variable like WORKSPACE_CONTROL_TOKEN_FILE names a file; its path is no secret and is needed in messages.
_PATH_NAME = re.compile(r"_(?:FILE|PATH|DIR)$", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"  # model providers
    r"|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bpypi-[A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JSON web tokens
)
# NOTE: each begins where a word begins, or a message of megabytes without spaces would take hours.
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_ASSIGNED = re.compile(
    r"(?i)(?<![\w-])([\w-]*(?:api[_-]?key|token|secret|password|passwd))(\"?\s*[=:]\s*\"?)([^\s\"',;&]{8,})"
)
_URL_PASSWORD = re.compile(r"\b(\w+://[^\s/:@]*:)[^\s/@]+(@)")


class Scrubber:
    """Masks what looks like a secret, and the values of environment variables whose names say so."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        values = {
            value
            for name, value in environ.items()
            if len(value) >= MIN_SECRET_CHARACTERS
            and _SECRET_NAME.search(name)
            and not _PATH_NAME.search(name)
        }
        # Longest first: a secret that contains another one must not leave its remainder behind.
        ordered = sorted(values, key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def scrub(self, text: str) -> str:
        """Return `text` with every secret replaced by `[secret]`."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _SHAPES.sub(MASK, text)
        text = _BEARER.sub(rf"\1 {MASK}", text)
        text = _URL_PASSWORD.sub(rf"\1{MASK}\2", text)
        return _ASSIGNED.sub(rf"\1\2{MASK}", text)
