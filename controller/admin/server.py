"""Serves the hooks that wake the loop, and two questions about its health; nothing that it is sent is believed.

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
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from controller.admin.health import Health
from controller.admin.wakes import Wakes
from controller.model.errors import Terminal

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

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Loop:
    """What the endpoint is given of a loop: how to wake it, and how it is; None before its first pass."""

    wake: Callable[[], None]
    health: Callable[[], Health | None]


@asynccontextmanager
async def serving(address: Address, *, secret: str, loop: Loop) -> AsyncIterator[Address]:
    """Serve while the block runs; yields where. `secret` is what callers of hooks must know, and never empty.

    Raises:
        Terminal: ListenFailed, with the cause.
    """
    if not secret:
        raise ValueError("hooks without a secret would be open to everybody")
    wakes = Wakes(loop.wake)
    runner = web.AppRunner(_application(wakes, secret, loop), access_log=None, handle_signals=False)
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
        wakes.close()
        await runner.cleanup()


def _application(wakes: Wakes, secret: str, loop: Loop) -> web.Application:
    async def hook(request: web.Request) -> web.Response:
        refused = _refused(request, secret)
        if refused is not None:
            return refused
        body = await _body(request)
        if isinstance(body, web.Response):
            return body
        if _is_about_readings(body):
            return web.Response(status=202, text="Nothing was changed.\n")
        wakes.tell()
        return web.Response(status=202, text="The loop will look.\n")

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

    application = web.Application()
    application.add_routes([web.post(path, hook) for path in HOOKS])
    application.add_routes([web.get("/healthz", alive), web.get("/readyz", ready)])
    return application


def _refused(request: web.Request, secret: str) -> web.Response | None:
    """Return the answer to a caller who does not show the secret, or announces too much; None when it does."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not shown:
        return _answer(401, "Send the shared secret as Authorization: Bearer SECRET.", challenge=True)
    if not hmac.compare_digest(shown.strip().encode(), secret.encode()):
        return _answer(403, "The shared secret is another one.")
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
        return _answer(408, f"The body did not come within {BODY_SECONDS:g} s.")
    return bytes(body)


def _is_about_readings(body: bytes) -> bool:
    """Tell whether a body is a registry's notification of what was pulled, and of nothing else."""
    try:
        actions = [event["action"] for event in json.loads(body)["events"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(actions) and all(action == "pull" for action in actions)


def _too_large() -> web.Response:
    return _answer(413, f"A hook's body has at most {BODY_LIMIT_BYTES} bytes.")


def _answer(status: int, text: str, *, challenge: bool = False) -> web.Response:
    answer = web.Response(
        status=status, text=f"{text}\n", headers={"WWW-Authenticate": "Bearer"} if challenge else {}
    )
    # The rest of a body that was refused would else be read as the next request.
    answer.force_close()
    return answer
