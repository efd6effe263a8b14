"""Send an answer as it grows: piece by piece to a caller who streams, in one piece to others."""

import asyncio
import time

from a2a.helpers import new_text_part
from a2a.server.tasks import TaskUpdater

ARTIFACT_NAME = "reply"
# So many chunks go out one by one. After them, what comes within a pause goes out together: each event costs the task
# store as much as all that came before it, so that an answer of thousands of words would take minutes.
CHUNKS_AT_ONCE = 32
PAUSE_SECONDS = 0.05


class Reply:
    """The answer to one message."""

    def __init__(self, updater: TaskUpdater, *, streaming: bool) -> None:
        self._updater = updater
        self._streaming = streaming
        self._chunks: list[str] = []
        self._sent = 0
        self._events = 0
        self._last_sent = 0.0
        self._sending = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._chunks)

    async def start(self) -> None:
        """Say that the work begins."""
        await self._updater.start_work()

    async def add(self, chunk: str) -> None:
        """Take the next piece of the answer."""
        if not chunk:
            return
        self._chunks.append(chunk)
        if not self._streaming:
            return
        if self._events < CHUNKS_AT_ONCE or time.monotonic() - self._last_sent >= PAUSE_SECONDS:
            await self._send()
        elif self._later is None:
            self._later = asyncio.create_task(self._send_later(), name="reply")

    async def finish(self) -> None:
        """Send what is left: the answer is complete."""
        await self.flush()
        if not self._streaming:
            await self._send()

    def stop(self) -> None:
        """Send nothing more by itself."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    async def flush(self) -> None:
        """Send what a caller who streams has not been sent yet."""
        self.stop()
        if self._streaming:
            await self._send()

    async def _send_later(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        self._later = None
        await self._send()

    async def _send(self) -> None:
        async with self._sending:
            text = "".join(self._chunks[self._sent :])
            if not text:
                return
            self._sent = len(self._chunks)
            self._events += 1
            self._last_sent = time.monotonic()
            await self._updater.add_artifact(
                [new_text_part(text)],
                artifact_id=f"{self._updater.task_id}-reply",
                name=ARTIFACT_NAME,
                append=self._events > 1,
            )
