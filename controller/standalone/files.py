"""Writes files of the state folder whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from controller.model.errors import Terminal


def unwritable(
    path: Path, error: OSError, *, fix: str = "Make it writable, or name another folder with --state DIR."
) -> Terminal:
    """Return what is said where the state folder cannot be written."""
    return Terminal("StateUnwritable", f"{path} cannot be written: {error.strerror}.", fix=fix)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` so that readers and crashes see the old file or the new one, whole; one writer at a time.

    Raises:
        Terminal: StateUnwritable, with the cause.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise unwritable(
            path, error, fix="Free space there, or name another folder with --state DIR."
        ) from error
