"""Run uvicorn under our own signals and shutdown, because its own cost 0.2 s of every replacement.

uvicorn looks for its stop flag every 0.1 s, sleeps another 0.1 s while it stops, and raises SIGTERM again at
the end, which would kill the process before the snapshot is written (https://github.com/encode/uvicorn/pull/1600).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn

from admission import App

TICK_SECONDS = 1.0
FLUSH_SECONDS = 1.0


class HttpServer(uvicorn.Server):
    """Serves one ASGI application on one socket until `close`."""

    def __init__(self, app: App, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )
        self._listener = listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def open(self) -> None:
        """Start to answer requests."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.on_tick(0)
        await self.startup(sockets=[self._listener])

    async def tick(self, beat: Callable[[], None]) -> None:
        """Keep the Date header right and call `beat`, once a second, until cancelled."""
        while True:
            beat()
            await self.on_tick(0)
            await asyncio.sleep(TICK_SECONDS)

    async def close(self) -> None:
        """Let answers that are under way reach their callers, within a second, and drop idle connections."""
        for server in self.servers:
            server.close()
        self._listener.close()
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=FLUSH_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + FLUSH_SECONDS
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody when a connection is gone; an idle one goes in the loop's next round
            await asyncio.sleep(0.001)
