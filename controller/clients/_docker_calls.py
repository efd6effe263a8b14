"""How a Docker Engine is asked: the SDK's client, in threads of this engine's own, its errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self, TypeVar

from docker import APIClient

from controller.clients._docker_errors import translated
from controller.clients._docker_transport import EngineTls, is_local, open_client

T = TypeVar("T")

CALL_SECONDS: Final = 60


class EngineCalls:
    """The connections to one engine; `workers` calls may be under way at once.

    A `tunnelled` one is that of another machine, whatever its endpoint looks like.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        host: str = "local",
        workers: int = 8,
        tls: EngineTls | None = None,
        tunnelled: bool = False,
    ) -> None:
        self._tunnelled = tunnelled
        self.endpoint = endpoint
        self.tls = tls
        self.host = host
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"docker-{host}")
        self._client: APIClient | None = None
        self._opening = asyncio.Lock()

    @property
    def is_local(self) -> bool:
        """Whether addresses on this engine's bridges can be reached from here."""
        return is_local(self.endpoint) and not self._tunnelled

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back threads and connections; calls still under way end in their own time."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def prove_up(self) -> None:
        """Return when the engine took and answered a new connection: it was not shutting down before this call.

        An engine that shuts down takes no connection any more, ends its containers, and serves what was connected before
        to the end: what it says of them then looks like their owners' wish. (Where a service manager holds its socket, the
        answer is the next engine's, which has started by then what is to run.)

        Raises:
            Transient: it does not.
        """

        def greet() -> None:
            # To open a client is to ask the engine for its version.
            open_client(self.endpoint, connections=1, timeout_seconds=CALL_SECONDS, tls=self.tls).close()

        await self._in_thread(f"reach the engine at {self.endpoint} anew", greet)

    async def call(self, doing: str, ask: Callable[[APIClient], T]) -> T:
        """Run `ask` with the SDK's client in this engine's threads; `doing` completes "Could not …" on failure."""
        client = await self._connected()
        return await self._in_thread(doing, lambda: ask(client))

    async def _connected(self) -> APIClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._in_thread(
                    f"reach the engine at {self.endpoint}",
                    lambda: open_client(
                        self.endpoint,
                        connections=self._workers,
                        timeout_seconds=CALL_SECONDS,
                        tls=self.tls,
                    ),
                )
            return self._client

    async def _in_thread(self, doing: str, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with translated(doing):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._pool, guarded)

    async def _request(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        read_seconds: float = CALL_SECONDS,
        **options: Any,  # noqa: ANN401 -- `params` and `json` of requests
    ) -> bytes:
        """Ask what the SDK has no faithful method for, and return the whole answer."""

        def ask(client: APIClient) -> bytes:
            url = f"{client.base_url}/v{client.api_version}{path}"
            answer = client.request(method, url, timeout=(CALL_SECONDS, read_seconds), **options)
            answer.raise_for_status()
            return answer.content

        return await self.call(doing, ask)
