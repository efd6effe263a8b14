"""Serves the hooks that wake the loop, its metrics, and two questions about its health; nothing that it is sent is believed.

A hook says that a registry or an index has changed, whoever calls and whatever the body says: the loop reads the world
itself. A call that is lost costs the time until the loop looks by itself. The one thing that a body may say is that
nothing changed: a registry that notifies of every reading, as docker-registry does, would else be told of by each look
that it was called for, and the loop would look for ever.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from controller.admin.answers import bearer_token, refusal
from controller.admin.health import Health
from controller.admin.refresh import RefreshEndpoint
from controller.admin.wakes import Wakes
from controller.model.errors import Terminal

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus."""
HOOKS: Final = ("/hooks/registry", "/hooks/index")
BODY_LIMIT_BYTES: Final = 1 << 20
BODY_SECONDS: Final = 10.0
"""How long a caller may take to send its body."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what others listen on
        return f"http://{Address(every.get(self.host, self.host), self.port)}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Loop:
    """What the endpoint is given of a loop: how to wake it, how it is (None before its first pass), and its metrics."""

    wake: Callable[[], None]
    health: Callable[[], Health | None]
    metrics: Callable[[], bytes] = bytes
    refresh: RefreshEndpoint | None = None
    """What callers of the admin endpoint meet; None where there is none."""


@asynccontextmanager
async def serving(address: Address, *, secret: str, loop: Loop) -> AsyncIterator[Address]:
    """Serve while the block runs; yields where. `secret` is what callers of hooks must know, and never empty.

    Raises:
        Terminal: ListenFailed, with the cause.
    """
    wakes = Wakes(loop.wake)
    routes = [*hook_routes(wakes, secret), *_health_routes(loop), metrics_route(loop.metrics)]
    try:
        async with listening(address, [*routes, *(loop.refresh.routes() if loop.refresh else ())]) as at:
            yield at
    finally:
        wakes.close()
        if loop.refresh is not None:
            await loop.refresh.close()


@asynccontextmanager
async def listening(address: Address, routes: Iterable[web.RouteDef]) -> AsyncIterator[Address]:
    """Serve `routes` while the block runs; yields where.

    Raises:
        Terminal: ListenFailed, with the cause.
    """
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except (OSError, OverflowError) as error:
            raise Terminal(
                "ListenFailed",
                f"Hooks cannot be served at {address}: {error}.",
                fix="Name another address with --listen HOST:PORT.",
            ) from error
        host, port, *_ = runner.addresses[0]
        yield Address(str(host), int(port))
    finally:
        await runner.cleanup()


def hook_routes(wakes: Wakes, secret: str, *, away: Callable[[], str] = str) -> list[web.RouteDef]:
    """Return the hooks, which tell `wakes`; `secret` is what their callers must know, and never empty.

    `away` says why there is nobody to be woken here now, and nothing when there is.
    """
    if not secret:
        raise ValueError("hooks without a secret would be open to everybody")

    async def hook(request: web.Request) -> web.Response:
        refused = _refused(request, secret)
        if refused is not None:
            return refused
        if why := away():
            return refusal(503, why)
        body = await _body(request)
        if isinstance(body, web.Response):
            return body
        if _is_about_readings(body):
            return web.Response(status=202, text="Nothing was changed.\n")
        wakes.tell()
        return web.Response(status=202, text="The loop will look.\n")

    return [web.post(path, hook) for path in HOOKS]


def metrics_route(text: Callable[[], bytes]) -> web.RouteDef:
    """Return `/metrics`, which answers `text`."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=text(), headers={"Content-Type": METRICS_TYPE})

    return web.get("/metrics", metrics)


def _health_routes(loop: Loop) -> list[web.RouteDef]:
    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        health = loop.health()
        # Names alone: why a source cannot be read tells of addresses, and everybody may ask.
        told = {
            "ready": health is not None and health.ready,
            "lastPassSeconds": round(health.pass_age_seconds, 1) if health else None,
            "unreadable": list(health.unread) if health else [],
        }
        return web.json_response(told, status=200 if told["ready"] else 503)

    return [web.get("/healthz", alive), web.get("/readyz", ready)]


def _refused(request: web.Request, secret: str) -> web.Response | None:
    """Return the answer to a caller who does not show the secret, or announces too much; None when it does."""
    shown = bearer_token(request)
    if not shown:
        return refusal(401, "Send the shared secret as Authorization: Bearer SECRET.", challenge=True)
    if not hmac.compare_digest(shown.encode(), secret.encode()):
        return refusal(403, "The shared secret is another one.")
    if (request.content_length or 0) > BODY_LIMIT_BYTES:
        return _too_large()
    return None


async def _body(request: web.Request) -> bytes | web.Response:
    """Return the body, or the answer to one that is too large or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > BODY_LIMIT_BYTES:
                    return _too_large()
    except TimeoutError:
        return refusal(408, f"The body did not come within {BODY_SECONDS:g} s.")
    return bytes(body)


def _is_about_readings(body: bytes) -> bool:
    """Tell whether a body is a registry's notification of what was pulled, and of nothing else."""
    try:
        actions = [event["action"] for event in json.loads(body)["events"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(actions) and all(action == "pull" for action in actions)


def _too_large() -> web.Response:
    return refusal(413, f"A hook's body has at most {BODY_LIMIT_BYTES} bytes.")
