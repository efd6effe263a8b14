"""`POST /admin/workspace-images/refresh`: whoever may, has current images pulled and workspaces on old ones recreated.

There is no open mode: a guard says who may, and without one the endpoint says why it is off.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from controller.admin.answers import bearer_token, refusal
from controller.model.errors import Problem, Terminal
from controller.reconcile.refresh import Refreshed

PATH: Final = "/admin/workspace-images/refresh"
_KEPT: Final = 16
"""How many results can be looked up after a call that did not wait for its own."""
_WORDS: Final = {"true": True, "false": False}


class Refresher(Protocol):
    """What does it."""

    async def runtimes(self) -> tuple[str, ...]:
        """Return the templates that there are."""

    async def refresh(self, templates: tuple[str, ...], *, recreate: bool, force: bool) -> Refreshed:
        """Pull the current images of these templates; with `recreate`, bring targets on old ones to them. Raises a Problem.

        With `force` work in progress is cut.
        """


class Guard(Protocol):
    """Who may."""

    async def refusal(self, token: str) -> str | None:
        """Return why the bearer of this token may not; None when it may. Raises a Problem when that cannot be known."""


@dataclass(slots=True)
class RefreshEndpoint:
    """The endpoint; one call at a time. `guard` is who may, or a text that says why nobody does."""

    refresher: Refresher
    guard: Guard | str
    _running: asyncio.Task[Refreshed] | None = None
    _results: dict[str, asyncio.Task[Refreshed]] = field(default_factory=dict)

    def routes(self) -> list[web.RouteDef]:
        """Return what is to be served."""
        return [
            web.post(PATH, self._guarded(self._begin)),
            web.get(PATH + "/{id}", self._guarded(self._look)),
        ]

    async def close(self) -> None:
        """End what is under way; the loop finishes what it began."""
        for task in self._results.values():
            task.cancel()
        await asyncio.gather(*self._results.values(), return_exceptions=True)

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            if isinstance(self.guard, str):
                return refusal(403, self.guard)
            token = bearer_token(request)
            if not token:
                return refusal(401, "Send a token as Authorization: Bearer TOKEN.", challenge=True)
            try:
                if (why := await self.guard.refusal(token)) is not None:
                    return refusal(403, why)
                return await handler(request)
            except Problem as problem:
                return refusal(500 if isinstance(problem, Terminal) else 503, str(problem))

        return guarded

    async def _begin(self, request: web.Request) -> web.Response:
        known = await self.refresher.runtimes()
        wanted = request.query.get("runtime")
        if wanted is not None and wanted not in known:
            told = {"error": f"There is no runtime {wanted!r}.", "known_runtimes": sorted(known)}
            return web.json_response(told, status=400)
        said = {"recreate": "true", "force": "false"} | dict(request.query)
        for name in ("recreate", "force"):
            if said[name] not in _WORDS:
                told = {"error": f"{name} is {said[name]!r}; write true or false."}
                return web.json_response(told, status=400)
        if self._running is not None and not self._running.done():
            return web.json_response(
                {"error": "Another refresh runs. Call again when it has ended."}, status=409
            )
        templates = known if wanted is None else (wanted,)
        recreate, force = _WORDS[said["recreate"]], _WORDS[said["force"]]
        task = asyncio.create_task(self.refresher.refresh(templates, recreate=recreate, force=force))
        self._running = task
        where = self._keep(task)
        if "respond-async" in request.headers.get("Prefer", ""):
            return _accepted(where)
        # A caller that hangs up leaves it running: half a refresh is none.
        return web.json_response((await asyncio.shield(task)).facts())

    async def _look(self, request: web.Request) -> web.Response:
        task = self._results.get(request.match_info["id"])
        if task is None:
            return web.json_response(
                {"error": "There is no such refresh, or its result is forgotten."}, status=404
            )
        if not task.done():
            return _accepted(request.path)
        return web.json_response((await task).facts())

    def _keep(self, task: asyncio.Task[Refreshed]) -> str:
        while len(self._results) >= _KEPT:
            self._results.pop(next(iter(self._results)))
        name = secrets.token_hex(8)
        self._results[name] = task
        return f"{PATH}/{name}"


def _accepted(where: str) -> web.Response:
    return web.json_response({"location": where}, status=202, headers={"Location": where})
