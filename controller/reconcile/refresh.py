"""Refreshes on demand: pulls the images that are current, and has the loop bring targets to them now.

The loop does that by itself; this is for whoever wants to see it done. It decides nothing: which targets may go, and when,
is for the same plan as ever. Only that their work is waited for can be given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import Action, Judge, Promote, Replace
from controller.model.errors import Problem, Transient, Waiting
from controller.plan.state import Held, Released
from controller.reconcile.protocols import ObjectStore
from controller.reconcile.result import Pass

Fetch = Callable[[WorkspaceRuntime, Template, str], Awaitable[object]]
"""Gets an image to where targets start from it. Raises a Problem."""


Hurrying = Callable[[Collection[str]], AbstractContextManager[None]]
"""Has targets of these templates replaced without waiting for their work, for as long as the block runs."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it: `pulled` and `failed` are templates, `recreated`, `busy` and `skipped` targets; `errors` says why."""

    pulled: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    recreated: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return it as callers read it, as JSON, each list in the order of the alphabet."""
        names = ("pulled", "failed", "recreated", "busy", "skipped")
        return {
            **{name: sorted(getattr(self, name)) for name in names},
            "errors": dict(sorted(self.errors.items())),
        }


@dataclass(slots=True)
class LoopRefresher:
    """Refreshes what one loop drives.

    Give `on_pass` and `on_action` to its `Reconciler`, and its `look_anew` and `hurrying` to this.
    """

    store: ObjectStore
    look_anew: Callable[[], None]
    fetch: Fetch
    hurrying: Hurrying
    _turn: Pass | None = None
    _passed: asyncio.Event = field(default_factory=asyncio.Event)
    _under_way: set[str] = field(default_factory=set)
    _ended: dict[str, tuple[Replace, str | Exception]] = field(default_factory=dict)
    _over: bool = False

    def on_pass(self, turn: Pass) -> None:
        """Take in a pass."""
        self._turn = turn
        self._passed.set()

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Take in that a replacement, or what follows the last one, begins or ends."""
        if not isinstance(action, Replace | Promote | Judge):
            return
        if outcome is None:
            self._under_way.add(action.key)
            return
        self._under_way.discard(action.key)
        if isinstance(action, Replace):
            self._ended[action.target] = (action, outcome)

    def close(self) -> None:
        """Let nobody wait any more for a loop that has ended."""
        self._over = True
        self._passed.set()

    async def runtimes(self) -> tuple[str, ...]:
        """Return the templates of the document. Raises Terminal when it is not valid."""
        stored = await self.store.read()
        return tuple(template.name for template in stored.document.spec.templates)

    async def refresh(self, templates: tuple[str, ...], *, recreate: bool, force: bool = False) -> Refreshed:
        """Fetch the images that new workspaces of `templates` should use; with `recreate`, wait until no target moves any more.

        Targets whose work does not end within their drain are busy, and others that stay behind are skipped. With `force`
        no work is waited for: it is cut.
        """
        turn = self._turn or await self._next_pass()
        images = {template.name: template.image for template in turn.status.templates}
        pulled, errors = [], {}
        for template in turn.document.spec.templates:
            if template.name not in templates:
                continue
            image = images.get(template.name)
            try:
                if image is None:
                    errors[template.name] = "No image of it has been proven yet."
                    continue
                await self.fetch(turn.document, template, image)
                pulled.append(template.name)
            except Problem as problem:
                errors[template.name] = str(problem)
        fetched = Refreshed(tuple(pulled), failed=tuple(errors), errors=errors)
        if not recreate:
            return fetched
        with self.hurrying(templates) if force else nullcontext():
            return await self._recreated(fetched, templates)

    async def _recreated(self, fetched: Refreshed, templates: tuple[str, ...]) -> Refreshed:
        self._ended.clear()
        # The first pass may have been begun before this.
        await self._next_pass()
        turn = await self._next_pass()
        # What is under way takes up room that others wait for.
        while self._under_way or any(_moves(action, templates) for action in turn.plan.actions):
            turn = await self._pass()
        recreated, busy, errors = [], [], dict(fetched.errors)
        ended = {target: end for target, (action, end) in self._ended.items() if _moves(action, templates)}
        for target, outcome in ended.items():
            if isinstance(outcome, Waiting):
                busy.append(target)
                errors[target] = outcome.for_what.removeprefix(f"{target}: ")
            elif isinstance(outcome, Exception) or outcome.startswith(("failed", "cut off")):
                errors[target] = str(outcome)
            else:
                recreated.append(target)
        left_out = {*ended, *_of_others(turn, templates)}
        skipped = {each.name: each.why for each in turn.status.stragglers if each.name not in left_out}
        return Refreshed(
            fetched.pulled, fetched.failed, tuple(recreated), tuple(busy), tuple(skipped), errors | skipped
        )

    async def _next_pass(self) -> Pass:
        self.look_anew()
        return await self._pass()

    async def _pass(self) -> Pass:
        """Wait for the next pass. Raises Transient when there is none, since the loop ended."""
        self._passed.clear()
        while not self._over:
            await self._passed.wait()
            if self._turn is not None and not self._over:
                return self._turn
        raise Transient("The loop ended before it was seen done; call again")


def _of_others(turn: Pass, templates: tuple[str, ...]) -> Iterator[str]:
    """Yield the targets of templates that nobody asked for."""
    fleet = turn.state.fleet if isinstance(turn.state, Released | Held) else None
    if fleet is not None:
        for target in (*fleet.ours, *(left.target for left in fleet.untouched)):
            if target.template is not None and target.template not in templates:
                yield target.id


def _moves(action: Action, templates: tuple[str, ...]) -> bool:
    if isinstance(action, Replace):
        return action.template in templates
    return isinstance(action, Promote | Judge)
