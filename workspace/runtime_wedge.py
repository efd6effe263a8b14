"""Notice that this process cannot answer any more, as opposed to being slow."""

import time
from collections.abc import Callable


class Wedge:
    """Why the runtime is stuck, if it is: its adapter says so, or its event loop has been silent for too long."""

    def __init__(self, *, after_seconds: float) -> None:
        self._after_seconds = after_seconds
        self._last_beat = time.monotonic()
        self._adapter_says: Callable[[], str | None] = lambda: None

    def ask(self, adapter_says: Callable[[], str | None]) -> None:
        """Believe the adapter, too."""
        self._adapter_says = adapter_says

    def beat(self) -> None:
        """The event loop is alive; to be called about once a second by the loop itself."""
        self._last_beat = time.monotonic()

    def reason(self) -> str | None:
        """Return what is wrong, or None. Safe from any thread."""
        silent = time.monotonic() - self._last_beat
        if silent > self._after_seconds:
            return f"the event loop has been blocked for {silent:.0f} s"
        return self._adapter_says()
