"""Entry of a builder run as our child: ends the run, with all it started, when the process that started it is gone.

A caller that is killed cannot end its children, and a build or an upload that goes on unseen would meet its own
repetition by the next caller. The kernel closes the caller's end of a pipe whatever happens to it, and works the
same on every system; nothing of this is known to the builder.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Final

READY: Final = "--ready"
_GRACE_SECONDS: Final = 5.0
_READY_SECONDS: Final = 60.0
"""How long a run that was begun in advance waits to be told what to do."""


def _end_with(leash: int) -> None:
    while os.read(leash, 1):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(0, number)
        time.sleep(_GRACE_SECONDS)


def _get_ready(modules: list[str]) -> None:
    gc.disable()  # nothing that is imported becomes garbage
    for module in modules:
        with suppress(ImportError):  # the run itself says what is missing
            importlib.import_module(module)
    gc.freeze()
    gc.enable()
    told = sys.stdin.readline() if select.select([sys.stdin], [], [], _READY_SECONDS)[0] else ""
    if not told:
        sys.exit()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    order = json.loads(told)
    sys.argv[1:] = order["arguments"]
    os.environ.update(order["environment"])


def main() -> None:
    """Run `python -m builder` with the arguments after the first, which is the pipe's file descriptor.

    After `--ready` come modules instead: they are imported, and arguments and further environment are then read as
    one line of JSON from standard input.
    """
    leash = int(sys.argv.pop(1))
    os.set_inheritable(leash, False)  # noqa: FBT003 -- the parameter is positional-only
    threading.Thread(target=_end_with, args=(leash,), name="leash", daemon=True).start()
    if sys.argv[1:2] == [READY]:
        _get_ready(sys.argv[2:])
    runpy.run_module("builder", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
