"""Asks one simple index over HTTP, with every way that can fail translated into our errors."""

from __future__ import annotations

import email.utils
import hashlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from packaging.utils import canonicalize_name
from yarl import URL

from builder.index.causes import cause_of
from builder.index.errors import Corrupt, IndexProblem, Malformed, Refused, Unauthorized, Unavailable
from builder.index.page import HTML_TYPES, JSON_TYPE, IndexFile, parse_page

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 30
"""How long an index may send nothing in the middle of an answer."""
PAGE_LIMIT_BYTES: Final = 64 << 20
FILE_LIMIT_BYTES: Final = 512 << 20
REDIRECT_LIMIT: Final = 10
_ACCEPT: Final = f"{JSON_TYPE}, {HTML_TYPES[0]};q=0.2, {HTML_TYPES[1]};q=0.01"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of an index; sent to the index's own origin only."""

    username: str
    password: str = field(repr=False)


class Index:
    """A simple index, as `async with Index(url) as index`."""

    def __init__(
        self, simple_url: str, *, credentials: Credentials | None = None, ca_file: Path | None = None
    ) -> None:
        """`ca_file` holds the PEM certificates to trust; without it the machine's own are used.

        Raises:
            Refused: `ca_file` cannot be used.
        """
        self._base = URL(simple_url.rstrip("/") + "/")
        self.show(credentials)
        self._tls = tls_context(ca_file)
        self._session: aiohttp.ClientSession

    def show(self, credentials: Credentials | None) -> None:
        """Show these from now on; None: nobody's."""
        self._authorization = credentials and aiohttp.encode_basic_auth(
            credentials.username, credentials.password
        )

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
            # a page from a cache on the way would show the world of some minutes ago
            headers={"User-Agent": "workspace-runtime-builder", "Cache-Control": "max-age=0"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def files(self, project: str) -> tuple[IndexFile, ...]:
        """Return what the index shows for a project; empty when it does not know the project.

        PEP 691 JSON is asked for first, PEP 503 HTML taken where the index has nothing else.

        Raises:
            Unauthorized, Refused, Malformed, Unavailable: as their documentation says.
        """
        url = self._base / f"{canonicalize_name(project)}/"
        for accept in (_ACCEPT, HTML_TYPES[1]):
            async with self._open(url, accept) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    return ()
                if answer.status == HTTPStatus.NOT_ACCEPTABLE and accept == _ACCEPT:
                    continue
                _check(answer)
                body = await _read(answer, PAGE_LIMIT_BYTES)
                return parse_page(body, content_type=answer.content_type, url=_shown(answer.url))
        raise AssertionError("the second round returns or raises")

    async def fetch(self, file: IndexFile, *, limit_bytes: int = FILE_LIMIT_BYTES) -> bytes:
        """Return a file's bytes, checked against the sha256 that the index shows for it, where it shows one.

        Raises:
            Corrupt: the bytes are others than the index says.
            Unauthorized, Refused, Unavailable: as their documentation says; a file that is listed and not
                there (404) is Unavailable, for mirrors list files before they have them.
        """
        async with self._open(URL(file.url), "*/*") as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                raise Unavailable(f"{_shown(answer.url)} is listed by the index and answers 404.")
            _check(answer)
            body = await _read(answer, limit_bytes)
        found = hashlib.sha256(body).hexdigest()
        if file.sha256 not in {None, found}:
            raise Corrupt(
                f"{file.filename} has sha256 {found}, but the index shows {file.sha256} for it ({_shown(URL(file.url))})."
            )
        return body

    @asynccontextmanager
    async def _open(self, url: URL, accept: str) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": accept}
        if self._authorization and url.origin() == self._base.origin():
            headers["Authorization"] = self._authorization
        try:
            async with self._session.get(url, headers=headers, max_redirects=REDIRECT_LIMIT) as answer:
                yield answer
        except IndexProblem:
            raise
        except aiohttp.TooManyRedirects as error:
            raise Refused(
                f"{_shown(url)} redirects more than {REDIRECT_LIMIT} times, in a loop. Check the index URL."
            ) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Refused(
                f"The certificate of {url.host} is not trusted ({error.certificate_error}). Name the CA file that signed it."
            ) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Refused(f"{_shown(url)} is no HTTP address: {error}.") from error
        except aiohttp.ClientPayloadError as error:
            raise Unavailable(f"{_shown(url)} broke off in the middle of its answer.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{_shown(url)} cannot be reached: {cause_of(error)}.") from error


def retry_after_seconds(value: str | None) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3), a number of seconds or a date; None when it says nothing."""
    text = (value or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _check(answer: aiohttp.ClientResponse) -> None:
    status, where = answer.status, _shown(answer.url)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Unauthorized(
            f"{where} answered {status}: the credentials are missing, wrong or not allowed to read."
        )
    if (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise Unavailable(
            f"{where} answered {status}.", retry_after=retry_after_seconds(answer.headers.get("Retry-After"))
        )
    raise Refused(f"{where} answered {status} {answer.reason or ''}".rstrip() + ". Check the index URL.")


async def _read(answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise Malformed(f"{_shown(answer.url)} answered with more than {limit_bytes} bytes.")
    return bytes(body)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what trusts the PEM certificates in `ca_file`, without one those of the machine.

    Raises:
        Refused: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"The CA file {ca_file} cannot be used: {error}. It must hold PEM certificates."
        ) from error


def _shown(url: URL) -> str:
    """Return an address for people: without user, password and query, which may hold secrets."""
    return str(url.with_user(None).with_query(None).with_fragment(None))
