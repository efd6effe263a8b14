"""Entry of a builder run as our child: ends the run, with all it started, when the process that started it is gone.

A caller that is killed cannot end its children, and a build or an upload that goes on unseen would meet its own
repetition by the next caller. The kernel closes the caller's end of a pipe whatever happens to it, and works the
same on every system; nothing of this is known to the builder.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from typing import Final

_GRACE_SECONDS: Final = 5.0


def _end_with(leash: int) -> None:
    while os.read(leash, 1):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(0, number)
        time.sleep(_GRACE_SECONDS)


def main() -> None:
    """Run `python -m builder` with the arguments after the first, which is the pipe's file descriptor."""
    leash = int(sys.argv.pop(1))
    os.set_inheritable(leash, False)  # noqa: FBT003 -- the parameter is positional-only
    threading.Thread(target=_end_with, args=(leash,), name="leash", daemon=True).start()
    runpy.run_module("builder", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
