"""Progress of a run: plain lines for logs and pipes; on a terminal also bars below them, always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from controller.api.status import Status


class Progress(Protocol):
    """Where a run tells what it does."""

    def say(self, line: str) -> None:
        """Show one line now."""

    def count(self, status: Status) -> None:
        """Show how far images and targets are."""


class _Lines:
    """Each line with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def stamped(self, line: str) -> str:
        return f"[{time.monotonic() - self._started:6.1f}s] {line}"

    def say(self, line: str) -> None:
        click.echo(self.stamped(line), err=True)
        sys.stderr.flush()

    def count(self, status: Status) -> None:
        """Lines alone: the passes' own words tell the counts."""


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """Yield the progress that fits what stderr is."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console  # noqa: PLC0415 -- only a terminal pays for it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415 -- as above
    from rich.progress import Progress as Bars  # noqa: PLC0415 -- as above

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    images, targets = bars.add_task("images proven"), bars.add_task("targets up to date")
    lines = _Lines()

    class _OnTerminal:
        def say(self, line: str) -> None:
            bars.console.print(lines.stamped(line), markup=False, highlight=False)

        def count(self, status: Status) -> None:
            proven = sum(1 for template in status.templates if template.state == "Proven")
            bars.update(images, completed=proven, total=len(status.templates))
            if status.rollout is not None:
                bars.update(targets, completed=status.rollout.up_to_date, total=status.rollout.total)

    with bars:
        yield _OnTerminal()
