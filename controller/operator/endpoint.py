"""What the kubelet asks: `/healthz` fails when a pass is too old, `/readyz` while the API server does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from controller.admin.server import Address
from controller.model.errors import Terminal
from controller.operator.vitals import Vitals


@asynccontextmanager
async def answering(
    address: Address, vitals: Vitals, more: Iterable[web.AbstractRouteDef] = ()
) -> AsyncIterator[Address]:
    """Answer while the block runs, `more` routes, too; yields where.

    Whoever reaches the pod may ask how it is, so that no names of objects are told.

    Raises:
        Terminal: ListenFailed, with the cause.
    """

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

    application = web.Application()
    application.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), *more])
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except (OSError, OverflowError) as error:
            raise Terminal(
                "ListenFailed",
                f"Health cannot be served at {address}: {error}.",
                fix="Name another address with --listen HOST:PORT.",
            ) from error
        host, port, *_ = runner.addresses[0]
        yield Address(str(host), int(port))
    finally:
        await runner.cleanup()
