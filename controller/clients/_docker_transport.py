"""Opens the SDK's low-level client with one connection pool for all threads of an engine."""

from __future__ import annotations

from typing import Final

from docker import APIClient
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnectionPool

_UNIX: Final = "unix://"
_MOUNTED_AT: Final = "http+docker://"


class _OnePool(UnixHTTPAdapter):
    """Keeps one pool where the SDK keeps one per URL.

    The SDK's table of 25 pools closes the eldest when a 26th URL is asked for, also under the hands of another
    thread that just took it; and no connection is ever used for a second URL.
    """

    def get_connection(self, url: bytes | str, proxies: object = None) -> UnixHTTPConnectionPool:  # noqa: ARG002 -- the signature is the SDK's
        return super().get_connection(f"{_MOUNTED_AT}localhost")


def is_local(endpoint: str) -> bool:
    """Whether the engine runs on this machine, so that addresses on its bridges can be reached from here."""
    return endpoint.startswith(_UNIX)


def open_client(endpoint: str, *, connections: int, timeout_seconds: int) -> APIClient:
    """Return a client of the engine at `endpoint` that speaks the newest API version both sides know.

    `timeout_seconds` holds for every read that has no deadline of its own. The endpoint is always explicit: the
    SDK's own defaults follow the CLI's current context.
    """
    client = APIClient(base_url=endpoint, version="auto", timeout=timeout_seconds, max_pool_size=connections)
    # An engine is reached as its endpoint says: no proxy, netrc or CA bundle of the environment, none looked up.
    client.trust_env = False
    if is_local(endpoint):
        socket = f"http+{endpoint}"
        client.mount(_MOUNTED_AT, _OnePool(socket, timeout_seconds, max_pool_size=connections))
    return client
