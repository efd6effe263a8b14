"""Opens the SDK's low-level client with one connection pool for all threads of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from docker import APIClient
from docker.tls import TLSConfig
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnectionPool

from controller.api.conditions import Reason
from controller.model.errors import Terminal

CA: Final = "ca.crt"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
_UNIX: Final = "unix://"
_MOUNTED_AT: Final = "http+docker://"


class _Direct(APIClient):
    """Reaches an engine as its endpoint says: no proxy, netrc or CA bundle of the environment, none looked up.

    The first request leaves while it is made, so that it cannot be told afterwards.
    """

    trust_env = property(lambda _: False, lambda *_: None)


@dataclass(frozen=True, slots=True)
class EngineTls:
    """How an engine is known, and how it knows us: files of PEM, of its authority, of our certificate and of the key for it."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, files: Mapping[str, Path], *, named: str) -> Self:
        """Return the keys `ca.crt`, `tls.crt` and `tls.key` of a Secret's files; `named` says which Secret, for messages.

        Raises:
            Terminal: SecretIncomplete, with the keys that are missing.
        """
        missing = [key for key in (CA, CERTIFICATE, KEY) if key not in files]
        if missing:
            raise Terminal(
                Reason.SECRET_INCOMPLETE,
                f"{named}, which has no {' and no '.join(missing)}.",
                fix="Write there ca.crt, the authority of the engine's certificate, and tls.crt and tls.key, whom it lets in.",
            )
        return cls(files[CA], files[CERTIFICATE], files[KEY])


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


def open_client(
    endpoint: str, *, connections: int, timeout_seconds: int, tls: EngineTls | None = None
) -> APIClient:
    """Return a client of the engine at `endpoint` that speaks the newest API version both sides know.

    `timeout_seconds` holds for every read that has no deadline of its own. The endpoint is always explicit: the
    SDK's own defaults follow the CLI's current context.
    """
    known = tls and TLSConfig(
        client_cert=(str(tls.certificate), str(tls.key)), ca_cert=str(tls.ca), verify=True
    )
    client = _Direct(
        base_url=endpoint,
        version="auto",
        timeout=timeout_seconds,
        tls=known or False,
        max_pool_size=connections,
    )
    if is_local(endpoint):
        socket = f"http+{endpoint}"
        client.mount(_MOUNTED_AT, _OnePool(socket, timeout_seconds, max_pool_size=connections))
    return client
