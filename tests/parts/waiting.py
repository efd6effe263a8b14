"""Wait for what somebody else does, for as long as a busy machine may take."""

import time
from collections.abc import Callable


def until(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
