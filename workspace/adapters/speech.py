"""Bring what a framework says in a task or thread of its own to whoever waits for the answer, piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any


class Speech:
    """The words of one turn.

    A turn that is cancelled while its framework hands a piece over would leave the framework's own generators to the
    garbage collector, and the connection to the model open until then. So the framework runs beside the turn.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._words: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, text: str) -> None:
        """Take a piece, from the event loop or from any thread."""
        self._loop.call_soon_threadsafe(self._words.put_nowait, text)

    async def during(self, work: "asyncio.Future[Any]") -> AsyncGenerator[str, None]:
        """Yield what is said until `work` has ended, and raise what it raised; end it when nobody listens any more."""
        work.add_done_callback(lambda _: self._loop.call_soon(self._words.put_nowait, None))
        try:
            while (piece := await self._words.get()) is not None:
                if piece:
                    yield piece
            await work
        finally:
            if work.cancel():
                await asyncio.wait({work})
