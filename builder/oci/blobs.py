"""Moves blobs: whole or in chunks, from memory or files, and on from where a connection broke."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Final

import aiohttp
from yarl import URL

from builder.oci.body import Body
from builder.oci.errors import Corrupt, Disconnected, NotFound, Refused, RegistryError
from builder.oci.manifest import Descriptor, expect_digest
from builder.oci.transport import Request, Transport

TRIES: Final = 4
"""How often a transfer may break without getting any further than before."""
FIRST_PAUSE_SECONDS: Final = 0.25
READ_BYTES: Final = 1 << 20
GIVE_UP_SECONDS: Final = 5.0

_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]+)")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-")


class _Breaks:
    """Counts how often a transfer broke without progress, and pauses between."""

    def __init__(self) -> None:
        self._furthest = 0
        self._broken = 0

    async def after(self, error: Disconnected, *, position: int) -> None:
        """Pause before the next try; raises the error when there were enough."""
        if position > self._furthest:
            self._furthest, self._broken = position, 0
        self._broken += 1
        if self._broken >= TRIES:
            raise error
        await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (self._broken - 1))


async def download(transport: Transport, request: Request, descriptor: Descriptor, file: IO[bytes]) -> None:
    """Write a blob to an open file and check it; see `Client.download`."""
    breaks, seen, size = _Breaks(), hashlib.sha256(), 0
    while True:
        headers = {"Range": f"bytes={size}-"} if size else {}
        part = Request("GET", request.url, request.scopes, request.what, headers)
        try:
            async with transport.open(part) as answer:
                skip = _skipped(answer, size, request.what)
                async for piece in answer.content.iter_chunked(READ_BYTES):
                    chunk, skip = piece[skip:], max(0, skip - len(piece))
                    size += len(chunk)
                    if size > descriptor.size:
                        break
                    seen.update(chunk)
                    file.write(chunk)
            break
        except Disconnected as error:
            await breaks.after(error, position=size)
    if size != descriptor.size:
        found = "more" if size > descriptor.size else str(size)
        raise Corrupt(f"{request.what} should have {descriptor.size} bytes and has {found}. It is not used.")
    expect_digest(request.what, descriptor.digest, f"sha256:{seen.hexdigest()}")


def _skipped(answer: aiohttp.ClientResponse, wanted: int, what: str) -> int:
    """Return how many bytes of an answer we have already: all of them, when it took no notice of the range."""
    if answer.status != HTTPStatus.PARTIAL_CONTENT:
        return wanted
    begins = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    if begins is None or int(begins[1]) != wanted:
        raise Corrupt(f"{answer.url.authority} answered another part of {what} than the one asked for.")
    return 0


@dataclass(slots=True)
class Upload:
    """One blob on its way to a registry, in one piece or, above `chunk_bytes`, in several.

    `begin` opens an upload session; `there` tells whether the registry has the blob.
    """

    transport: Transport
    begin: Request
    body: Body
    digest: str
    chunk_bytes: int
    there: Callable[[], Awaitable[bool]]
    _session: URL | None = None
    _opened: bool = False
    _sent: int = 0

    async def run(self) -> None:
        """Send it; what the registry has of it after a break is asked for and not sent again.

        Raises:
            Disconnected: it broke too often. As after any failure, the session is given up: nothing lies around.
        """
        breaks, unsure = _Breaks(), False
        try:
            while True:
                try:
                    if (unsure and await self._settled()) or await self._step():
                        return
                    unsure = False
                except Disconnected as error:
                    if not self._opened:
                        raise
                    unsure = True
                    await breaks.after(error, position=self._sent)
        except BaseException:
            await give_up(self.transport, self.begin, self._session)
            raise

    @property
    def _whole(self) -> bool:
        return self.body.length <= self.chunk_bytes

    async def _step(self) -> bool:
        """Open the session, or send the next piece; tell whether that was the last."""
        if self._session is None:
            async with self.transport.open(self.begin) as answer:
                self._session, self._sent, self._opened = location(self.begin, answer), 0, True
                with contextlib.suppress(ValueError):  # absent from most registries
                    least = int(answer.headers.get("OCI-Chunk-Min-Length", ""))
                    self.chunk_bytes = max(self.chunk_bytes, least)
        if self._whole or self._sent == self.body.length:
            target = self._session.update_query(digest=self.digest)
            rest = self.body if self._whole else self.body.part(self._sent, 0)
            try:
                async with self.transport.open(self._request("PUT", target, rest)):
                    return True
            except NotFound:
                # aiohttp repeats a PUT whose answer was lost; the session is over when the first one did all of it
                if await self.there():
                    return True
                raise
        part = self.body.part(self._sent, self.chunk_bytes)
        until = self._sent + part.length
        sending = self._request("PATCH", self._session, part, {"Content-Range": f"{self._sent}-{until - 1}"})
        async with self.transport.open(sending) as answer:
            self._session, self._sent = location(self.begin, answer), until
        return False

    async def _settled(self) -> bool:
        """Find out, after a break, from where to go on; tell whether the registry has all of it."""
        if self._whole or self._sent == self.body.length:
            if await self.there():
                return True
            await give_up(self.transport, self.begin, self._session)
            self._session, self._sent = None, 0
        if self._session is not None:
            try:
                async with self.transport.open(self._request("GET", self._session)) as answer:
                    received = _RANGE.fullmatch(answer.headers.get("Range", ""))
                    if answer.headers.get("Location"):
                        self._session = location(self.begin, answer)
                    # `0-0` is what registries say of nothing
                    self._sent = int(received[1]) + 1 if received and received[1] != "0" else 0
            except (NotFound, Refused):
                # docker-registry gives an upload up when more of it arrived than it had acknowledged
                self._session, self._sent = None, 0
        return False

    def _request(
        self, method: str, url: URL, body: Body | None = None, extra: Mapping[str, str] | None = None
    ) -> Request:
        headers = {**(_OCTETS if body else {}), **(extra or {})}
        return Request(method, url, self.begin.scopes, self.begin.what, headers, body)


def location(begin: Request, answer: aiohttp.ClientResponse) -> URL:
    """Return where an upload goes on; raises Corrupt when the registry does not say."""
    where = answer.headers.get("Location")
    if not where:
        raise Corrupt(f"{begin.url.authority} opened an upload for {begin.what} without saying where.")
    return begin.url.join(URL(where, encoded=True))


async def give_up(transport: Transport, begin: Request, session: URL | None) -> None:
    """End an upload session; one that a registry cannot end any more is removed by the registry's own purging."""
    if session is None:
        return
    with contextlib.suppress(RegistryError, TimeoutError):
        async with asyncio.timeout(GIVE_UP_SECONDS):
            async with transport.open(Request("DELETE", session, begin.scopes, begin.what)):
                return
