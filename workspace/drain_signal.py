"""Drain on a signal: of all ways to ask from outside the container, the cheapest, and one that needs no token.

Whoever may signal this process may stop it anyway. SIGURG, because a process that does not know of this ignores it:
nothing else that might get it in this one's place ends. Whether it was heard, the status tells.
"""

import signal
import threading
from types import FrameType

from lifecycle import Lifecycle

SIGNAL = signal.SIGURG


def drain_on_signal(lifecycle: Lifecycle) -> None:
    """Listen from now on; to be called in the main thread."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # A thread does the rest: this may have interrupted code that holds the locks we need.
        threading.Thread(target=lifecycle.drain_on_signal, daemon=True).start()

    signal.signal(SIGNAL, on_signal)
