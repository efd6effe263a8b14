"""What `wsr refresh` does: has a loop bring targets to the current images, one of its own or the one that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from controller.cli._run import Narrator
from controller.cli.output import Exit, columns, print_facts
from controller.cli.progress import Progress, progress_on_stderr
from controller.model.actions import Action, Judge, Promote, Replace
from controller.model.errors import Terminal
from controller.reconcile.loop import Reconciler
from controller.reconcile.observers import Observers
from controller.reconcile.refresh import LoopRefresher
from controller.reconcile.roll import fetched
from controller.standalone.session import Session, open_session
from controller.standalone.stops import stops_file
from controller.standalone.store import AlreadyRunning, sole_runner
from controller.standalone.watching import watch
from controller.standalone.world import Needs

_NEEDS: Final = Needs(index=False)
_LISTS: Final = ("pulled", "failed", "recreated", "busy", "skipped")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be refreshed: one template or all, with the targets that run it, and whether their work is cut."""

    runtime: str | None
    recreate: bool
    force: bool

    def templates(self, session: Session, file: Path) -> tuple[str, ...]:
        """Return the templates that are meant. Raises Terminal for one that the document does not list."""
        known = tuple(template.name for template in session.document.spec.templates)
        if self.runtime is None:
            return known
        if self.runtime not in known:
            raise Terminal(
                "Invalid",
                f"{file} lists no template {self.runtime!r}.",
                fix=f"It lists: {', '.join(known)}.",
            )
        return (self.runtime,)

    def lets(self, action: Action) -> bool:
        """Whether an action is part of it: nothing is made, and of what others read only what follows the last target."""
        if isinstance(action, Replace):
            return self.recreate and self.runtime in {None, action.template}
        return self.recreate and isinstance(action, Promote | Judge)


def refreshed(file: Path, wish: Wish, *, output: str, state: Path | None, secrets: Path | None) -> int:
    """Refresh, print what came of it, and return the exit code. Raises a Problem when nothing was refreshed."""
    facts = asyncio.run(_refresh(file, wish, state, secrets))
    print_facts(facts, output, _table(facts))
    told = {*facts["busy"], *facts["skipped"]}
    if set(facts["errors"]) - told:
        return Exit.FAILED
    return Exit.NOT_YET if facts["busy"] else Exit.DONE


async def _refresh(file: Path, wish: Wish, state: Path | None, secrets: Path | None) -> Mapping[str, Any]:
    with progress_on_stderr() as progress:
        async with open_session(
            file, state=state, secrets=secrets, say=progress.say, needs=_NEEDS
        ) as session:
            templates = wish.templates(session, file)
            try:
                with sole_runner(session.folder):
                    return await _by_ourselves(session, file, progress, templates, wish)
            except AlreadyRunning as running:
                return await _by_the_one_that_runs(session, running, progress, wish)


async def _by_ourselves(
    session: Session, file: Path, progress: Progress, templates: tuple[str, ...], wish: Wish
) -> Mapping[str, Any]:
    wake, parts, narrator = asyncio.Event(), session.world.parts, Narrator(progress)
    told = Observers([narrator])
    loop = Reconciler(
        session.store,
        session.world,
        wake,
        on_pass=told.on_pass,
        on_action=told.on_action,
        on_trouble=narrator.on_trouble,
        anew=parts.checkouts.look_anew,
        may=wish.lets,
    )
    refresher = LoopRefresher(session.store, loop.look_anew, partial(fetched, parts), loop.hurrying)
    told.members.append(refresher)
    looping = asyncio.create_task(loop.run_forever())
    watching = asyncio.create_task(
        watch(session.world, session.document, (file, stops_file(session.folder)), wake)
    )
    refreshing = asyncio.create_task(refresher.refresh(templates, recreate=wish.recreate, force=wish.force))
    try:
        await asyncio.wait([looping, watching, refreshing], return_when=asyncio.FIRST_COMPLETED)
        for other in (looping, watching):
            if other.done():
                await other
        return (await refreshing).facts()
    finally:
        for task in (refreshing, looping, watching):
            task.cancel()
        await asyncio.gather(refreshing, looping, watching, return_exceptions=True)


async def _by_the_one_that_runs(
    session: Session, running: AlreadyRunning, progress: Progress, wish: Wish
) -> Mapping[str, Any]:
    from controller.clients.admin import ask_for_refresh  # noqa: PLC0415 -- only this way pays for a web client

    if running.url is None:
        raise Terminal(
            running.reason,
            f"{running.message} It does not listen, so it cannot be asked for a refresh.",
            fix="Start it with --listen PORT and WSR_ADMIN_TOKEN, or stop it and call again.",
        ) from running
    progress.say(f"Asking the wsr run that listens at {running.url}")
    token = session.world.parts.settings.secret_of_admin()
    return await ask_for_refresh(
        running.url, token, runtime=wish.runtime, recreate=wish.recreate, force=wish.force
    )


def _table(facts: Mapping[str, Any]) -> list[str]:
    errors = facts["errors"]
    rows = [[word, name, errors.get(name, "")] for word in _LISTS for name in facts[word]]
    told = {name for word in _LISTS for name in facts[word]}
    rows += [["not recreated", name, why] for name, why in errors.items() if name not in told]
    return columns([["RESULT", "NAME", "WHY"], *rows])
