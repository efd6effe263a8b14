"""When each stage of a release was reached, as somebody sees it who looks from outside."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Self

from tests.parts.index import Index

PACKAGE = "molecule-ai-workspace-runtime"
_LOOK_EVERY_SECONDS = 0.2


def published(index: Index) -> list[str]:
    """The versions of the runtime whose wheel the index serves, oldest first."""
    wheels = [name for name in index.files(PACKAGE) if name.endswith(".whl")]
    return sorted(
        (name.split("-")[1] for name in wheels),
        key=lambda version: [int(part) for part in version.split(".")],
    )


class Milestones:
    """Looks while others work; stages are reached in their order."""

    def __init__(self, stages: Iterable[tuple[str, Callable[[], bool]]]) -> None:
        """`stages` are names, and how it is seen that each is reached."""
        self.times: dict[str, float] = {}
        self._waiting = list(stages)
        self._calls: dict[str, Callable[[], None]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._look_once()

    def when(self, name: str, call: Callable[[], None]) -> None:
        """Call this once, as soon as a stage is seen to be reached."""
        self._calls[name] = call

    def _look(self) -> None:
        while not self._end.wait(_LOOK_EVERY_SECONDS):
            self._look_once()

    def _look_once(self) -> None:
        while self._waiting and self._waiting[0][1]():
            name, _ = self._waiting.pop(0)
            self.times[name] = time.monotonic()
            self._calls.pop(name, _nothing)()


def _nothing() -> None:
    pass
