"""Answer MCP over HTTP, and load its library for the first request that needs it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from admission import CALLER_REACH, Receive, Scope, Send
from builtin_tools import Tool
from policies.addresses import Reach

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

HOSTS = ["127.0.0.1:*", "localhost:*", "[::1]:*"]
REFUSAL = (
    "MCP is for programs in this container; start `molecule-runtime mcp` there, or connect to its loopback"
)

logger = logging.getLogger(__name__)


class McpService:
    """The ASGI application at `/mcp`."""

    def __init__(self, tools: Sequence[Tool], *, version: str, max_body_bytes: int) -> None:
        self._tools = tools
        self._version = version
        self._max_body_bytes = max_body_bytes
        self._loading = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if CALLER_REACH.get() is not Reach.LOCAL:
            await _refuse(send)
            return
        async with self._loading:
            if self._manager is None:
                await self._start()
        assert self._manager is not None  # noqa: S101 - what has just been started
        await self._manager.handle_request(scope, receive, send)

    async def close(self) -> None:
        """End all sessions, because the process ends."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _start(self) -> None:
        manager = await asyncio.to_thread(self._make)
        started = asyncio.Event()

        async def run() -> None:
            async with manager.run():
                started.set()
                await asyncio.Event().wait()

        self._running = asyncio.create_task(run(), name="mcp")
        await started.wait()
        self._manager = manager

    def _make(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415 - a slow import
        from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415 - as above

        from a2a_mcp_server import make_server  # noqa: PLC0415 - as above

        return StreamableHTTPSessionManager(
            make_server(self._tools, version=self._version),
            json_response=True,
            security_settings=TransportSecuritySettings(
                allowed_hosts=HOSTS, allowed_origins=[f"http://{host}" for host in HOSTS]
            ),
            max_request_body_size=self._max_body_bytes,
        )


async def _refuse(send: Send) -> None:
    body = json.dumps({"error": REFUSAL}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
