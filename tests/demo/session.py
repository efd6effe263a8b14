"""What every demo begins with: a clock before each line, and nobody else of the same name."""

import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.demo.place import NAME
from tests.parts.ground import PartError


def clock() -> Callable[[str], None]:
    """What says a line with the seconds since now before it."""
    start = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - start:6.1f}s  {text}\n")
        sys.stdout.flush()

    return say


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Use what belongs to a folder alone.

    Raises:
        PartError: another demo does.
    """
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartError(
                f"Another demo of the name {NAME} is running on this machine; wait for its end, or set DEMO_NAME."
            ) from None
        yield
