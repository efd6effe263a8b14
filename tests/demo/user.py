"""A user of the demo whose tasks must not be cut, and what is said when a promise was broken."""

import threading
from collections.abc import Callable

from tests.demo.client import Workspace

TASK_SECONDS = 20
_OVERLAP_SECONDS = 2


class DemoError(Exception):
    """What was promised did not happen; the text says what."""


def expect(holds: object, otherwise: str) -> None:
    """Raise DemoError with the text when a promise is broken."""
    if not holds:
        raise DemoError(otherwise)


class User:
    """Somebody whose tasks must not be cut: gives one of `TASK_SECONDS`, and the next before it ends, until told to stop.

    One task is enough where the rest of the fleet moves within it; on a slow machine it takes more to stay busy.
    """

    def __init__(self, workspace: Workspace, *, enough: Callable[[], bool]) -> None:
        self.workspace = workspace
        self.errors: list[Exception] = []
        self.finished = 0
        self._enough = enough
        self._end = threading.Event()
        self._tasks: list[threading.Thread] = []
        self._giving = threading.Thread(target=self._give, daemon=True)

    def begin(self) -> None:
        """Give the first task."""
        self._giving.start()

    def leave(self) -> None:
        """Give no more, and wait for what was given."""
        self._end.set()
        for thread in (self._giving, *self._tasks):
            if thread.ident is not None:
                thread.join()

    def _give(self) -> None:
        while not self._end.is_set() and not (self._tasks and self._enough()):
            task = threading.Thread(target=self._ask, daemon=True)
            self._tasks.append(task)
            task.start()
            self._end.wait(TASK_SECONDS - _OVERLAP_SECONDS)

    def _ask(self) -> None:
        try:
            answer = self.workspace.ask(f"sleep {TASK_SECONDS}: hello")
            expect(answer == "echo: hello", f"{self.workspace.name} answered {answer!r}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the user's task was lost
            self.errors.append(error)
        else:
            self.finished += 1
