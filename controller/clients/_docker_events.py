"""Listens to an engine's events from a thread of its own, because the SDK's stream blocks for as long as it lives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from docker import APIClient
from docker.errors import DockerException
from docker.types.daemon import CancellableStream

from controller.clients._docker_errors import translated
from controller.clients._docker_transport import EngineTls, open_client
from controller.model.container import EngineEvent, EngineEventKind
from controller.model.errors import Problem

_WATCHED: Final = ("start", "die", "destroy", "rename")
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_CALL_SECONDS: Final = 10


async def watch(endpoint: str, tls: EngineTls | None = None) -> AsyncGenerator[EngineEvent, None]:
    """Yield the engine's container events until the iteration is closed, connecting again by itself."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[EngineEvent] = asyncio.Queue()
    listener = _Listener(endpoint, tls, lambda event: loop.call_soon_threadsafe(queue.put_nowait, event))
    listener.start()
    try:
        while True:
            yield await queue.get()
    finally:
        listener.end()


class _Listener(threading.Thread):
    """Tells events until it is ended; a daemon thread, so that a silent engine delays no exit."""

    def __init__(self, endpoint: str, tls: EngineTls | None, tell: Callable[[EngineEvent], object]) -> None:
        super().__init__(name=f"events-{endpoint}", daemon=True)
        self._endpoint = endpoint
        self._tls = tls
        self._tell = tell
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._stream: CancellableStream[Any] | None = None

    def end(self) -> None:
        """Make `run` return soon."""
        self._ended.set()
        with self._turn:
            if self._stream is not None:
                with suppress(
                    OSError, DockerException
                ):  # the engine closed it first, or the transport cannot
                    self._stream.close()

    def run(self) -> None:
        pause, connected = _FIRST_PAUSE_SECONDS, False
        while not self._ended.is_set():
            with suppress(Problem), translated("listen to the engine's events"):
                client = open_client(
                    self._endpoint, connections=1, timeout_seconds=_CALL_SECONDS, tls=self._tls
                )
                with client:
                    stream = self._open(client)
                    pause, connected = _FIRST_PAUSE_SECONDS, True
                    for event in stream:
                        self._say(_parse(event))
            if connected:
                self._say(EngineEvent(EngineEventKind.LOST))
                connected = False
            self._ended.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _open(self, client: APIClient) -> CancellableStream[Any]:
        stream = client.events(decode=True, filters={"type": "container", "event": list(_WATCHED)})
        with self._turn:
            if self._ended.is_set():
                stream.close()
            self._stream = stream
        self._say(EngineEvent(EngineEventKind.CONNECTED))
        return stream

    def _say(self, event: EngineEvent) -> None:
        if not self._ended.is_set():
            with suppress(RuntimeError):  # the loop that listened is closed
                self._tell(event)


def _parse(event: Mapping[str, Any]) -> EngineEvent:
    """Return a container event; its attributes are the name, the image and every label."""
    actor = event.get("Actor") or {}
    attributes = dict(actor.get("Attributes") or {})
    name = attributes.pop("name", "")
    attributes.pop("image", None)
    return EngineEvent(EngineEventKind(event["Action"]), actor.get("ID", ""), name, attributes)
