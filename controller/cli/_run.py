"""What `wsr run` does: drives the loop, tells its progress, and says how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.admin.health import Health
from controller.api.status import Status
from controller.cli._drive import Goal
from controller.cli.output import Exit
from controller.cli.progress import Progress, progress_on_stderr
from controller.clients.notifications import sender
from controller.clients.runs import Runs
from controller.model.actions import Action, Cascade, Prune, Replace
from controller.plan.state import Blocked
from controller.reconcile.loop import Reconciler
from controller.reconcile.notifying import Notifier
from controller.reconcile.observers import Observers
from controller.reconcile.refresh import LoopRefresher
from controller.reconcile.result import NotYet, Pass, Result, Stalled
from controller.reconcile.roll import fetched
from controller.standalone.session import Session, open_session
from controller.standalone.stops import stops_file
from controller.standalone.store import saved_status, sole_runner
from controller.standalone.watching import watch

if TYPE_CHECKING:
    from controller.admin.server import Address

_LAST_NOTICES_SECONDS = 15.0
"""How long a run that has ended waits for people to be told of it."""


async def run(file: Path, state: Path | None, secrets: Path | None, goal: Goal, runs: Runs) -> int:
    """Reconcile the object in `file` with these builder runs and return the exit code.

    Raises:
        Problem: the document, the environment or a Secret is not valid, or another run is at it.
    """
    with progress_on_stderr() as progress:
        async with open_session(file, state=state, secrets=secrets, say=progress.say, runs=runs) as session:
            with sole_runner(session.folder) as tell:
                return await _drive(session, file, progress, goal, tell)


async def _drive(
    session: Session, file: Path, progress: Progress, goal: Goal, tell: Callable[[str], None]
) -> int:
    wake = asyncio.Event()
    narrator = Narrator(progress)
    notifier = _notifier(session, progress)
    told = Observers([narrator, notifier])
    loop = Reconciler(
        session.store,
        session.world,
        wake,
        on_pass=told.on_pass,
        on_action=told.on_action,
        on_trouble=narrator.on_trouble,
        anew=session.world.parts.checkouts.look_anew,
    )
    async with AsyncExitStack() as stack:
        if goal.listen is not None:
            at = await stack.enter_async_context(
                _served(session, loop, told, lambda: narrator.health, goal.listen)
            )
            tell(at.url)
            progress.say(f"Listening for hooks at http://{at}")
            if not at.is_loopback:
                progress.say(
                    "Hooks come in plain HTTP from other machines: the shared secret can be read on the way. Put a proxy "
                    "with TLS before it, and listen on 127.0.0.1."
                )
        stack.push_async_callback(notifier.close, seconds=_LAST_NOTICES_SECONDS)
        watching = asyncio.create_task(
            watch(session.world, session.document, (file, stops_file(session.folder)), wake)
        )
        stack.push_async_callback(_ended, watching)
        if not goal.once:
            await loop.run_forever()
        try:
            async with asyncio.timeout(goal.wait):
                result = await loop.run_once(milestone=goal.reached, patient=goal.wait is not None)
        except TimeoutError:
            return _not_yet(goal, narrator.last)
        return _finish(result, goal)


def _notifier(session: Session, progress: Progress) -> Notifier:
    before = saved_status(session.folder) or Status()
    return Notifier(before, sender(session.world.parts.settings), progress.say)


def _served(
    session: Session,
    loop: Reconciler,
    observers: Observers,
    health: Callable[[], Health | None],
    listen: tuple[str, int],
) -> AbstractAsyncContextManager[Address]:
    # A web server and a library of metrics take long to import.
    from controller.admin.guards import TokenGuard  # noqa: PLC0415 -- see above
    from controller.admin.refresh import RefreshEndpoint  # noqa: PLC0415 -- see above
    from controller.admin.server import Address, Loop, serving  # noqa: PLC0415 -- see above
    from controller.telemetry.metrics import Metrics  # noqa: PLC0415 -- see above

    parts, metrics = session.world.parts, Metrics()
    refresher = LoopRefresher(session.store, loop.look_anew, partial(fetched, parts), loop.hurrying)
    observers.members += [metrics.of(session.document.key), refresher]
    secret, token = parts.settings.secret_of_hooks(), parts.settings.secret_of_admin()
    guard = TokenGuard(token) if token else "The admin endpoint is off, since WSR_ADMIN_TOKEN is not set."
    refresh = RefreshEndpoint(refresher, guard)
    told = Loop(loop.look_anew, health, metrics.text, refresh)
    return serving(Address(*listen), secret=secret, loop=told)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _not_yet(goal: Goal, status: Status | None) -> int:
    ready = status.condition("Ready") if status else None
    because = f": {ready.reason}: {ready.message}" if ready else ""
    click.echo(f"Not yet after {goal.wait:g} s{because}", err=True)
    return Exit.NOT_YET


def _finish(result: Result, goal: Goal) -> int:
    if isinstance(result, Stalled):
        click.echo(f"{result.reason}: {result.message}", err=True)
        return Exit.FAILED
    if isinstance(result, NotYet):
        click.echo(f"Not yet: {result.reason}: {result.message}", err=True)
        return Exit.NOT_YET
    ready = result.status.condition("Ready")
    text = ready.message if ready is not None else ""
    if result.status.condition("Reconciling") is None and not result.status.is_true("Ready"):
        text = f"{text} Nothing else is left to do."
    if goal.until is not None and not goal.reached(result.status):
        click.echo(f"{goal.until} is not True. {text}", err=True)
        return Exit.FAILED
    click.echo(text)
    return Exit.DONE


class Narrator:
    """Tells passes and actions as lines of progress; says a thing once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = ""
        self._turn: tuple[float, Pass] | None = None

    @property
    def last(self) -> Status | None:
        """The status of the last pass; None before the first."""
        return self._turn[1].status if self._turn is not None else None

    @property
    def health(self) -> Health | None:
        """How the loop is, as of its last pass; None before the first."""
        if self._turn is None:
            return None
        made, turn = self._turn
        return Health(time.monotonic() - made, turn.unread, isinstance(turn.state, Blocked))

    def on_pass(self, turn: Pass) -> None:
        """Tell what the summary says now, if that is new."""
        self._turn = (time.monotonic(), turn)
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

    def on_trouble(self, error: Exception) -> None:
        """Tell what keeps a pass from being made, such as a slip in the edited document."""
        self._progress.say(f"no pass could be made: {error}")


def _name(action: Action) -> str:
    kind = type(action).__name__.lower()
    if isinstance(action, Replace):
        return f"{kind} {action.target}"
    if isinstance(action, Cascade):
        return f"{kind} {action.version} ({len(action.builds)} images)"
    if isinstance(action, Prune):
        return f"{kind} {len(action.images)} old candidates"
    template = getattr(action, "template", None)
    return f"{kind} {action.version}" + (f" {template}" if template else "")
