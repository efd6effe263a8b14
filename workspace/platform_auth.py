"""Keep the token with which this workspace speaks to the platform, and get another one when it is not taken any more.

The platform issues it when a workspace registers, and rotates it by writing the file anew, possibly after this process
has read the old one. So a refused token is first read again, and then asked for anew.
"""

import contextlib
import logging
import os
import threading
from pathlib import Path

TOKEN_FILE = ".auth_token"  # noqa: S105 - the file's name

logger = logging.getLogger(__name__)


class PlatformToken:
    """The token in the config folder; None until the platform has issued one. Safe from any thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TOKEN_FILE
        self._lock = threading.Lock()
        self._token: str | None = None

    def get(self) -> str | None:
        """Return the token, read from its file when it is not known yet."""
        with self._lock:
            if self._token is None:
                self._token = self._read()
            return self._token

    def read_again(self) -> bool:
        """Read the file once more; tell whether there is another token in it than the one that was used."""
        with self._lock:
            before, self._token = self._token, self._read()
            return self._token is not None and self._token != before

    def save(self, token: str) -> None:
        """Keep a token that was issued. A folder that cannot be written to keeps it in memory only, and is logged."""
        with self._lock:
            self._token = token
            beside = self._path.with_name(f"{TOKEN_FILE}.new")
            try:
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(token)
                beside.replace(self._path)
            except OSError as error:
                with contextlib.suppress(OSError):
                    beside.unlink()
                logger.warning("Losing the platform's token at the next start: %s: %s", self._path, error)

    def _read(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            logger.warning(
                "Speaking to the platform without a token: %s cannot be read: %s", self._path, error
            )
            return None
