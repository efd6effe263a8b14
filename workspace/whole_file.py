"""Write a file of the workspace's state so that a reader, or a crash, sees what was there before or all that is new."""

import os
import threading
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write beside, flush to disk, rename; only this user can read it.

    Raises:
        OSError: it cannot be written; what was there is kept.
    """
    # A name for each thread: at the end of the grace period another thread may write while the loop still does.
    beside = path.with_name(f".{path.name}.{threading.get_ident()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
