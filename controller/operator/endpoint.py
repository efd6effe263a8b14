"""The operator's HTTP endpoint: what the kubelet and a Prometheus ask, hooks, and refreshes on demand.

`/healthz` fails when a pass is too old, `/readyz` while the API server does not answer: a standby is as ready as the
leader, and answers what only that one can do with 503.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from controller.admin.refresh import Guard, RefreshEndpoint
from controller.admin.server import Address, hook_routes, listening, metrics_route
from controller.admin.wakes import Wakes
from controller.operator.fleet import Fleet
from controller.operator.vitals import Vitals


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one process: its signs of life, metrics and loops, and who may have them refreshed.

    `guard` may be a text that says why nobody may; `hook_secret` is what callers of hooks send, None: there are no hooks.
    """

    vitals: Vitals
    metrics: Callable[[], bytes]
    fleet: Fleet
    guard: Guard | str
    hook_secret: str | None


@asynccontextmanager
async def answering(address: Address, asked: Asked) -> AsyncIterator[Address]:
    """Answer while the block runs; yields where. Raises Terminal: ListenFailed, with the cause."""
    wakes = Wakes(asked.fleet.wake)
    refresh = RefreshEndpoint(asked.fleet, asked.guard)
    hooks = hook_routes(wakes, asked.hook_secret, away=asked.fleet.away) if asked.hook_secret else []
    routes = [*_health_routes(asked.vitals), metrics_route(asked.metrics), *hooks, *refresh.routes()]
    try:
        async with listening(address, routes) as at:
            yield at
    finally:
        wakes.close()
        await refresh.close()


def _health_routes(vitals: Vitals) -> list[web.RouteDef]:
    async def alive(_: web.Request) -> web.Response:
        stuck = vitals.stuck
        text = f"{len(stuck)} objects were not looked at for too long\n" if stuck else "ok\n"
        return web.Response(text=text, status=503 if stuck else 200)

    async def ready(_: web.Request) -> web.Response:
        told = {
            "ready": vitals.ready,
            "leading": vitals.leading,
            "lastPassSeconds": round(vitals.pass_age_seconds, 1),
        }
        return web.json_response(told, status=200 if vitals.ready else 503)

    return [web.get("/healthz", alive), web.get("/readyz", ready)]
