"""Load the A2A SDK for the first request that needs it, because importing it is most of a start.

A workspace that is replaced while nobody talks to it never pays for it, and its replacement does not wait for it.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.base import BaseAdapter
from admission import Receive, Scope, Send
from boot import Foundation
from plugins_registry.registry import Plugins
from preflight import ExitCode, StartError
from skill_loader.loader import Skill

if TYPE_CHECKING:
    from a2a_server import A2AServer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """What the A2A server is made of, once it is needed; `port` is where it is reached on this machine."""

    base: Foundation
    adapter: BaseAdapter
    plugins: Plugins
    skills: tuple[Skill, ...]
    port: int


class A2AService:
    """The ASGI application behind the admission, which makes the A2A server when it is first asked for anything."""

    def __init__(self, parts: AgentParts, *, give_up: Callable[[], None]) -> None:
        """`give_up` is called when the SDK cannot be loaded: this process will never answer."""
        self.broken: StartError | None = None
        self._parts = parts
        self._give_up = give_up
        self._loading = asyncio.Lock()
        self._server: A2AServer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        server = self._server or await self._load()
        await server.app(scope, receive, send)

    async def stop_all(self) -> None:
        """Stop every turn, because the process ends."""
        if self._server is not None:
            await self._server.stop_all()

    async def close(self) -> None:
        """Let what is under way to others go out, because the process ends."""
        if self._server is not None:
            await self._server.close()

    def save(self) -> None:
        """Write the snapshot; one that was not restored, because nobody asked for anything, stays as it is."""
        if self._server is not None:
            self._server.save()

    async def _load(self) -> "A2AServer":
        async with self._loading:
            if self.broken is not None:
                raise self.broken
            if self._server is None:
                begun = time.monotonic()
                try:
                    # Not in the event loop: whoever asks for the state meanwhile gets an answer.
                    server = (await asyncio.to_thread(_import_server))(self._parts)
                except Exception as error:
                    text = f"Build error: the A2A SDK cannot be used: {type(error).__name__}: {error}"
                    self.broken = StartError(ExitCode.BUILD, text)
                    self._give_up()
                    raise self.broken from error
                await server.restore()
                self._server = server
                logger.info("Loaded the A2A server in %.2f s", time.monotonic() - begun)
            return self._server


def _import_server() -> "type[A2AServer]":
    gc.disable()
    try:
        from a2a_server import A2AServer  # noqa: PLC0415 - the A2A SDK: the slow part
    finally:
        gc.freeze()
        gc.enable()
    return A2AServer
