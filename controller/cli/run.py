"""`wsr run`: reconcile here, once or for good."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from pathlib import Path

import click

from controller.api.status import Status
from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import Exit, fail
from controller.cli.progress import Progress, progress_on_stderr
from controller.model.errors import Problem
from controller.model.plan import Action, Cascade, Replace
from controller.reconcile.loop import Done, Pass, Reconciler, Result
from controller.standalone.session import Session, open_session
from controller.standalone.store import sole_runner
from controller.standalone.world import watch

_UNITS = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """A number with a unit, such as 90s, 10m or 1h, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a value of another form is wrong use."""
        match = re.fullmatch(r"([0-9]+)([smh])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration; write it like 90s, 10m or 1h.", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])


@click.command()
@FILE
@click.option(
    "--once", is_flag=True, help="Stop when nothing is left to do, or someone must change something."
)
@click.option(
    "--until",
    type=click.Choice(["ImagesBuilt", "Published", "RolledOut"]),
    help="With --once: stop when this condition is True.",
)
@click.option("--wait", type=Duration(), help="With --once: give up after this long (exit 3), such as 10m.")
@STATE
@SECRETS
def run(  # noqa: PLR0913 -- one parameter per documented option
    *, file: Path, once: bool, until: str | None, wait: float | None, state: Path | None, secrets: Path | None
) -> int:
    """Bring what runs to what the document asks for.

    Builds and proves the version, boots a candidate image of every template, publishes, replaces the running
    containers one by one without cutting work, and promotes the images. What was begun by a run that died is
    finished. Without --once it goes on watching the document and the engine.

    Example: wsr run -f runtime.yaml --once --wait 10m
    """
    if not once and (until is not None or wait is not None):
        raise click.UsageError("--until and --wait go with --once.")
    try:
        with progress_on_stderr() as progress:
            return asyncio.run(_run(file, state, secrets, progress, _Goal(once=once, until=until, wait=wait)))
    except Problem as problem:
        return fail(problem)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("Stopped; the next run goes on from here.", err=True)
        return Exit.FAILED


class _Goal:
    """How long to run."""

    def __init__(self, *, once: bool, until: str | None, wait: float | None) -> None:
        self.once = once
        self.wait = wait
        self.milestone: Callable[[Status], bool] = lambda status: until is not None and status.is_true(until)


async def _run(file: Path, state: Path | None, secrets: Path | None, progress: Progress, goal: _Goal) -> int:
    task = asyncio.current_task()
    if task is not None:
        # As on Ctrl-C: what is under way is cancelled, cleans up, and is found by the next run.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_session(file, state=state, secrets=secrets, say=progress.say) as session:
        with sole_runner(session.folder):
            return await _drive(session, file, progress, goal)


async def _drive(session: Session, file: Path, progress: Progress, goal: _Goal) -> int:
    wake = asyncio.Event()
    narrator = _Narrator(progress)
    loop = Reconciler(
        session.store, session.world, wake, on_pass=narrator.on_pass, on_action=narrator.on_action
    )
    watching = asyncio.create_task(watch(session.world, file, wake))
    try:
        if not goal.once:
            await loop.run_forever()
        try:
            async with asyncio.timeout(goal.wait):
                result = await loop.run_once(milestone=goal.milestone)
        except TimeoutError:
            return _not_yet(goal, narrator.last)
        return _finish(result)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _not_yet(goal: _Goal, status: Status | None) -> int:
    ready = status.condition("Ready") if status else None
    because = f": {ready.reason}: {ready.message}" if ready else ""
    click.echo(f"Not yet after {goal.wait:g} s{because}", err=True)
    return Exit.NOT_YET


def _finish(result: Result) -> int:
    if isinstance(result, Done):
        ready = result.status.condition("Ready")
        click.echo(ready.message if ready is not None else "")
        return Exit.DONE
    click.echo(f"{result.reason}: {result.message}", err=True)
    return Exit.FAILED


class _Narrator:
    """Tells passes and actions as lines of progress; says a thing once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = ""
        self.last: Status | None = None

    def on_pass(self, turn: Pass) -> None:
        """Tell what the summary says now, if that is new."""
        self.last = turn.status
        self._progress.count(turn.status)
        ready = turn.status.condition("Ready")
        text = f"{ready.reason}: {ready.message}" if ready is not None else ""
        if text != self._told:
            self._told = text
            self._progress.say(text)

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Tell that an action starts, ended well, or failed."""
        text = f"because {action.reason}" if outcome is None else str(outcome)
        self._progress.say(f"{_name(action)}: {text}")


def _name(action: Action) -> str:
    kind = type(action).__name__.lower()
    if isinstance(action, Replace):
        return f"{kind} {action.target}"
    if isinstance(action, Cascade):
        return f"{kind} {action.version} ({len(action.builds)} images)"
    template = getattr(action, "template", None)
    return f"{kind} {action.version}" + (f" {template}" if template else "")
