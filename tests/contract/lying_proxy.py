"""A proxy before a real registry that spoils the answers it is told to spoil: the faults a registry client must survive."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Spoil = Callable[[web.Request, web.Response], web.Response | None]
"""Takes a request and the true answer; returns what is sent instead, None to break the connection."""


@dataclass
class LyingProxy:
    """Where it listens, what it does to answers, and which requests it saw (`METHOD path?query`)."""

    address: str = ""
    spoil: Spoil = field(default=lambda _, answer: answer)
    seen: list[str] = field(default_factory=list)


@asynccontextmanager
async def lying_proxy(registry: str) -> AsyncIterator[LyingProxy]:
    """Serve on loopback until the block ends."""
    proxy = LyingProxy()

    async def forward(request: web.Request) -> web.StreamResponse:
        proxy.seen.append(f"{request.method} {request.path_qs}")
        kept = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
        async with session.request(
            request.method, f"http://{registry}{request.raw_path}", headers=kept, data=await request.read()
        ) as true:
            body = await true.read()
            passed = ("Content-Type", "Docker-Content-Digest", "Location")
            headers = {
                name: true.headers[name].replace(registry, proxy.address)
                for name in passed
                if name in true.headers
            }
            if request.method == "HEAD":
                headers["Content-Length"] = true.headers.get("Content-Length", "0")
            answer = web.Response(status=true.status, body=body, headers=headers)
        spoiled = proxy.spoil(request, answer)
        if spoiled is not None:
            return spoiled
        assert request.transport is not None
        broken = web.StreamResponse(headers={"Content-Length": str(len(body) + 1)})
        await broken.prepare(request)
        await broken.write(body[: len(body) // 2])
        request.transport.abort()
        return broken

    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(application)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        proxy.address = f"{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
