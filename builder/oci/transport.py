"""One authenticated request to a registry, with every way it can fail translated into our errors."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from builder.oci.answers import broken, problem, refuse_page, silent, unreachable
from builder.oci.body import Body
from builder.oci.credentials import Credentials
from builder.oci.errors import Corrupt, Refused, Unauthorized, Unavailable
from builder.oci.patience import Patience
from builder.oci.tokens import Scopes, Tokens

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 60.0
"""How long nothing may move, in either direction, in the middle of a request."""
CONNECTIONS_PER_HOST: Final = 32
HOPS: Final = 5
"""How many redirects are followed."""
ASKED_AGAIN: Final = 3
"""How often one request is repeated because the registry asked for a short pause."""


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
    body: Body | None = field(default=None, repr=False)


class Transport:
    """Connections, tokens and what registries asked for, shared by all requests of one client."""

    def __init__(
        self, credentials: Credentials, *, insecure: bool, ca_file: Path | None, silence_seconds: float
    ) -> None:
        self._insecure = insecure
        self._silence_seconds = silence_seconds
        self._patience = Patience()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit_per_host=CONNECTIONS_PER_HOST, ssl=_tls(insecure=insecure, ca_file=ca_file)
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
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
        only (stores of blobs). A short pause that the registry asks for is waited for.
        """
        answer = await self._answered(request)
        async with answer:
            if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise await problem(answer, request.method, request.what)
            refuse_page(answer, request.method, request.what)
            try:
                yield answer
            except (aiohttp.ClientError, TimeoutError) as error:
                raise broken(
                    request.url.authority, request.what, error, silence_seconds=self._silence_seconds
                ) from error

    async def _answered(self, request: Request) -> aiohttp.ClientResponse:
        renewed, hops, pauses = False, 0, 0
        while True:
            self._refuse_plain(request)
            host = request.url.authority
            await self._patience.before(host, request.what)
            authorization = await self._tokens.headers(host, request.scopes)
            answer = await self._send(request, authorization)
            if answer.status == HTTPStatus.UNAUTHORIZED and not renewed:
                self._learn(request, answer, authorization)
                renewed = True
            elif _leads_elsewhere(request, answer):
                if hops == HOPS:
                    raise Corrupt(f"{host} redirected {request.what} more than {HOPS} times.")
                hops += 1
                request = replace(request, url=_target(request, answer))
            elif self._patience.heard(host, answer) and pauses < ASKED_AGAIN:
                pauses += 1
            else:
                return answer
            answer.release()

    def _refuse_plain(self, request: Request) -> None:
        if request.url.scheme != "https" and not self._insecure:
            host, what = request.url.authority, request.what
            raise Refused(
                f"{request.method} {what} leads to {request.url.scheme}://{host}, which is not HTTPS, so it was not sent. "
                "Correct the registry's external address (behind a proxy: X-Forwarded-Proto), or say registry.insecure: true."
            )

    def _learn(
        self, request: Request, answer: aiohttp.ClientResponse, authorization: Mapping[str, str]
    ) -> None:
        host, challenges = request.url.authority, answer.headers.getall("WWW-Authenticate", [])
        refused = authorization.get("Authorization", "")
        if not self._tokens.learn(host, request.scopes, challenges, refused=refused):
            answer.release()
            raise Unauthorized(f"{host} refused access to {request.what} without saying what it asks for.")

    async def _send(self, request: Request, authorization: Mapping[str, str]) -> aiohttp.ClientResponse:
        headers = {**request.headers, **authorization}
        loop = asyncio.get_running_loop()
        try:
            # aiohttp's own limits begin when all is sent; a registry that stops reading would hold us forever
            async with asyncio.timeout(None) as deadline:

                def moved() -> None:
                    with suppress(RuntimeError):  # the answer came before all was sent
                        deadline.reschedule(loop.time() + self._silence_seconds)

                body = _sent(request.body, headers, moved)
                return await self._session.request(
                    request.method, request.url, headers=headers, data=body, allow_redirects=False
                )
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise unreachable(request.url.authority, request.what, error) from error
            raise silent(
                request.url.authority, request.what, silence_seconds=self._silence_seconds
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(request.url.authority, request.what, error) from error


def _sent(
    body: Body | None, headers: dict[str, str], moved: Callable[[], None]
) -> AsyncIterator[bytes] | bytes | None:
    if body is None:
        return None
    headers["Content-Length"] = str(body.length)  # else it goes out in chunks, which some registries refuse
    return body.pieces(moved) if body.length else b""


def _leads_elsewhere(request: Request, answer: aiohttp.ClientResponse) -> bool:
    reading = request.method in {"GET", "HEAD"}
    return reading and answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers


def _target(request: Request, answer: aiohttp.ClientResponse) -> URL:
    return request.url.join(URL(answer.headers["Location"], encoded=True))


def _tls(*, insecure: bool, ca_file: Path | None) -> ssl.SSLContext | bool:
    if insecure:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"The CA file {ca_file} cannot be used: {error}. It must hold PEM certificates."
        ) from error
