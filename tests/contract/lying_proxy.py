"""A proxy before a real registry that spoils the answers it is told to spoil: the faults a registry client must survive."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Cut = Callable[[web.Request], int | None]
"""Takes a request and returns after how many bytes of its body the connection breaks; None for not at all."""
Refuse = Callable[[web.Request], web.Response | None]
"""Takes a request and returns what is answered without asking the registry; None to ask it."""
Spoil = Callable[[web.Request, web.Response], web.Response | None]
"""Takes a request and the true answer; returns what is sent instead, None to break the connection."""


_ASKED = ("Accept", "Content-Type", "Content-Range", "Range", "Authorization")
_ANSWERED = (
    "Content-Type", "Docker-Content-Digest", "Location", "Range", "Content-Range", "WWW-Authenticate",
    "OCI-Chunk-Min-Length",
)  # fmt: skip


@dataclass
class LyingProxy:
    """Where it listens, what it does to answers, and which requests it saw (`METHOD path?query`)."""

    address: str = ""
    spoil: Spoil = field(default=lambda _, answer: answer)
    cut: Cut = field(default=lambda _: None)
    refuse: Refuse = field(default=lambda _: None)
    silent: Callable[[web.Request], bool] = field(default=lambda _: False)
    """Whether a request is never answered, though it was taken."""
    seen: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    """How much of bodies it passed on to the registry."""

    def requests(self, method: str) -> list[str]:
        """Those of one method."""
        return [request for request in self.seen if request.startswith(f"{method} ")]


@asynccontextmanager
async def lying_proxy(registry: str) -> AsyncIterator[LyingProxy]:
    """Serve on loopback until the block ends."""
    proxy = LyingProxy()

    async def forward(request: web.Request) -> web.StreamResponse:
        proxy.seen.append(f"{request.method} {request.path_qs}")
        if proxy.silent(request):
            await asyncio.Event().wait()
        kept = {name: request.headers[name] for name in _ASKED if name in request.headers}
        limit = proxy.cut(request)
        body = await request.read() if limit is None else await request.content.readexactly(limit)
        refusal = proxy.refuse(request)
        if refusal is not None:
            return refusal
        proxy.sent_bytes += len(body)
        url = f"http://{registry}{request.raw_path}"
        if limit is not None:
            kept["Content-Length"] = request.headers["Content-Length"]
            with contextlib.suppress(aiohttp.ClientError):
                await session.request(request.method, url, headers=kept, data=_broken_off(body))
            return _abort(request)
        async with session.request(
            request.method, url, headers=kept, data=body, allow_redirects=False
        ) as true:
            content = await true.read()
            headers = {
                name: true.headers[name].replace(registry, proxy.address)
                for name in _ANSWERED
                if name in true.headers
            }
            if request.method == "HEAD":
                headers["Content-Length"] = true.headers.get("Content-Length", "0")
            answer = web.Response(status=true.status, body=content, headers=headers)
        spoiled = proxy.spoil(request, answer)
        if spoiled is not None:
            return spoiled
        if not content:  # nothing to break in the middle of: it breaks before the first word
            return _abort(request)
        broken = web.StreamResponse(
            status=true.status, headers={**headers, "Content-Length": str(len(content) + 1)}
        )
        await broken.prepare(request)
        await broken.write(content[: len(content) // 2])
        return _abort(request, broken)

    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        proxy.address = f"{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


def _abort(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return answer or web.Response()


async def _broken_off(body: bytes) -> AsyncIterator[bytes]:
    yield body
    await asyncio.sleep(0.05)  # the registry has read it by then
    raise ConnectionError("the client went away")
