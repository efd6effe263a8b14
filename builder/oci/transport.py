"""One authenticated request to a registry, with every way it can fail translated into our errors."""

from __future__ import annotations

import asyncio
import email.utils
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from builder.oci.credentials import Credentials
from builder.oci.errors import (
    Corrupt,
    NotFound,
    RateLimited,
    Refused,
    RegistryError,
    Unauthorized,
    Unavailable,
)
from builder.oci.tokens import Scopes, Tokens

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 60
"""How long a registry may send nothing in the middle of an answer."""
CONNECTIONS_PER_HOST: Final = 32


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of a registry.

    `scopes` are the permissions it needs, in the token specification's words; `what` names the object in errors.
    """

    method: str
    url: URL
    scopes: Scopes
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path | None = field(default=None, repr=False)


class Transport:
    """Connections and tokens shared by all requests of one client."""

    def __init__(self, credentials: Credentials, *, insecure: bool, ca_file: Path | None) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit_per_host=CONNECTIONS_PER_HOST, ssl=_tls(insecure=insecure, ca_file=ca_file)
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
            headers={"User-Agent": "workspace-runtime-builder"},
            auto_decompress=False,
        )
        self._tokens = Tokens(self._session, credentials, insecure=insecure)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its successful answer, renewing credentials once after a 401.

        Nothing secret goes to another host than the one that asked for it. Redirects are followed when reading
        only (stores of blobs); aiohttp drops the authorization when they lead elsewhere.
        """
        host = request.url.authority
        for last in (False, True):
            answer = await self._send(request, await self._tokens.headers(host, request.scopes))
            if last or answer.status != HTTPStatus.UNAUTHORIZED:
                break
            challenges = answer.headers.getall("WWW-Authenticate", [])
            answer.release()
            if not self._tokens.learn(host, request.scopes, challenges):
                raise Unauthorized(
                    f"{host} refused access to {request.what} without saying what it asks for."
                )
        async with answer:
            if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise await _problem(answer, request)
            try:
                yield answer
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(
                    f"The connection to {host} broke at {request.what}: {str(error) or type(error).__name__}."
                ) from error

    async def _send(self, request: Request, authorization: dict[str, str]) -> aiohttp.ClientResponse:
        # opened here, so that a second attempt sends the file from its start
        body = (
            await asyncio.to_thread(request.body.open, "rb")
            if isinstance(request.body, Path)
            else request.body
        )
        try:
            return await self._session.request(
                request.method,
                request.url,
                headers={**request.headers, **authorization},
                data=body,
                allow_redirects=request.method in {"GET", "HEAD"},
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(_unreachable(request, error)) from error
        finally:
            if body is not None and not isinstance(body, bytes):
                body.close()


def _unreachable(request: Request, error: Exception) -> str:
    host = request.url.authority
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {host} is not trusted ({error.certificate_error}). Name the CA file that signed it."
        case aiohttp.ClientSSLError():
            return f"{host} does not speak TLS. If it is meant to be plain HTTP, say registry.insecure: true."
        case _:
            return f"The registry {host} cannot be reached for {request.what}: {str(error) or type(error).__name__}."


async def read_limited(answer: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """Return an answer's body; raises Corrupt when it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise Corrupt(f"{what} answered more than {limit} bytes where a small document was expected.")
    return bytes(body)


def _tls(*, insecure: bool, ca_file: Path | None) -> ssl.SSLContext | bool:
    if insecure:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"The CA file {ca_file} cannot be used: {error}. It must hold PEM certificates."
        ) from error


async def _problem(answer: aiohttp.ClientResponse, request: Request) -> RegistryError:
    status, host, what = answer.status, answer.url.authority, request.what
    said = await _said(answer)
    text = f"{host} answered {status}{said} to {request.method} {what}."
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"{what} does not exist ({host} answered 404{said}).")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unauthorized(
            f"{text} The credentials for {host} are missing, wrong or not allowed to do this."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(text, retry_after=_retry_after(answer))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Unavailable(text, retry_after=_retry_after(answer))
    return Refused(text)


async def _said(answer: aiohttp.ClientResponse) -> str:
    """Return the registry's own words, when it sent its error document and not a proxy's page."""
    try:
        first = json.loads(await read_limited(answer, 64 << 10, "an error"))["errors"][0]
        return f" {first.get('code', '')} ({first.get('message', '')})"
    except (aiohttp.ClientError, TimeoutError, Corrupt, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
