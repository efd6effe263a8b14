"""Begins `wsr run`: a builder gets ready on another core while everything else is still being imported."""

from __future__ import annotations

import asyncio
import gc
import signal
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.output import Exit
from controller.clients.runs import BUILDS_AT_ONCE, Runs
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.api.status import Status


@dataclass(frozen=True, slots=True)
class Goal:
    """How long to run: once or for good, until a condition is true, for so many seconds; and where to listen."""

    once: bool
    until: str | None
    wait: float | None
    listen: tuple[str, int] | None = None

    def reached(self, status: Status) -> bool:
        """Whether the condition that was waited for is true."""
        return self.until is not None and status.is_true(self.until)


def drive(file: Path, *, state: Path | None, secrets: Path | None, goal: Goal) -> int:
    """Reconcile the object in `file` and return the exit code.

    Raises:
        Problem: the document, the environment or a Secret is not valid, or another run is at it.
    """
    try:
        return asyncio.run(_drive(file, state, secrets, goal))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("Stopped; the next run goes on from here.", err=True)
        # One that runs for good ends as it was asked to, and its service manager need not call that a failure.
        return Exit.FAILED if goal.once else Exit.DONE


async def _drive(file: Path, state: Path | None, secrets: Path | None, goal: Goal) -> int:
    task = asyncio.current_task()
    if task is not None:
        # As on Ctrl-C: what is under way is cancelled, cleans up, and is found by the next run.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    settings = Settings.of_process(secrets_dir=secrets, state_dir=state)
    async with aclosing(Runs(settings.child_environment, parallel=BUILDS_AT_ONCE)) as runs:
        # Most likely what is to be done first.
        runs.prepare("package")
        await asyncio.sleep(0)
        # Nothing that is imported becomes garbage; looking for it takes a fifth of the time, here and in every later round.
        gc.disable()
        try:
            from controller.cli._run import run  # noqa: PLC0415 -- the process above starts before
        finally:
            gc.freeze()
            gc.enable()
        return await run(file, state, secrets, goal, runs)
