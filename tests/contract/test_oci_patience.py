"""What the OCI client waits for, and for how long: registries that ask for pauses, and ones that fall silent."""

import asyncio
import email.utils
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from builder.oci import Client, Descriptor, Disconnected, RateLimited, Reference, Unavailable, sha256_digest
from tests.contract.lying_proxy import LyingProxy, lying_proxy

DATA = b"some content"
DESCRIPTOR = Descriptor.of("application/octet-stream", DATA)


@pytest.fixture
async def proxy(registry: str) -> AsyncIterator[LyingProxy]:
    async with lying_proxy(registry) as proxy:
        yield proxy


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(insecure=True, silence_seconds=0.3) as client:
        yield client


@pytest.fixture
async def repository(proxy: LyingProxy, client: Client) -> Reference:
    repository = Reference.parse(f"{proxy.address}/oci/patience:1")
    await client.ensure_blob(repository, DATA, digest=DESCRIPTOR.digest)
    proxy.seen.clear()
    return repository


def _asks_for(value: str, *, status: int = 429) -> Callable[[web.Request, web.Response], web.Response]:
    return lambda _, __: web.Response(status=status, headers={"Retry-After": value})


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_pause_is_the_callers_and_nobody_asks_before_it_is_over(
    proxy: LyingProxy, client: Client, repository: Reference, status: int
) -> None:
    proxy.spoil = _asks_for("17", status=status)
    with pytest.raises(Unavailable) as limited:
        await client.blob(repository, DESCRIPTOR)
    what = f"{repository.name}@{DESCRIPTOR.digest}"
    assert str(limited.value) == f"{proxy.address} answered {status} to GET {what}."
    assert limited.value.retry_after == 17

    with pytest.raises(RateLimited) as kept:
        await client.blob(repository, DESCRIPTOR)
    assert str(kept.value) == (
        f"{proxy.address} asked for no requests for another 17 s, so it was not asked for {what}."
    )
    assert kept.value.retry_after == pytest.approx(17, abs=1)
    assert len(proxy.seen) == 1


async def test_a_pause_may_be_given_as_a_date(
    proxy: LyingProxy, client: Client, repository: Reference
) -> None:
    proxy.spoil = _asks_for(email.utils.formatdate(time.time() + 100, usegmt=True))
    with pytest.raises(RateLimited) as limited:
        await client.blob(repository, DESCRIPTOR)
    assert limited.value.retry_after == pytest.approx(100, abs=3)


@pytest.mark.parametrize("value", ["86400", "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_no_pause_is_longer_than_ten_minutes(
    proxy: LyingProxy, client: Client, repository: Reference, value: str
) -> None:
    proxy.spoil = _asks_for(value)
    with pytest.raises(RateLimited) as limited:
        await client.blob(repository, DESCRIPTOR)
    assert limited.value.retry_after == 600


@pytest.mark.parametrize("value", ["", "soon", "-5"])
async def test_what_names_no_time_is_no_pause(
    proxy: LyingProxy, client: Client, repository: Reference, value: str
) -> None:
    proxy.spoil = _asks_for(value)
    with pytest.raises(RateLimited) as limited:
        await client.blob(repository, DESCRIPTOR)
    assert limited.value.retry_after is None
    proxy.spoil = lambda _, answer: answer
    assert await client.blob(repository, DESCRIPTOR) == DATA


async def test_a_short_pause_is_waited_for(proxy: LyingProxy, client: Client, repository: Reference) -> None:
    turns = iter([True])
    pause = web.Response(status=429, headers={"Retry-After": "1"})
    proxy.spoil = lambda _, answer: pause if next(turns, None) else answer
    started = time.monotonic()
    assert await client.blob(repository, DESCRIPTOR) == DATA
    assert time.monotonic() - started >= 0.9
    assert len(proxy.seen) == 2


async def test_short_pauses_without_end_are_not_waited_for(
    proxy: LyingProxy, client: Client, repository: Reference
) -> None:
    proxy.spoil = _asks_for("0")
    with pytest.raises(RateLimited) as limited:
        await client.blob(repository, DESCRIPTOR)
    assert limited.value.retry_after == 0
    assert len(proxy.seen) == 4


@asynccontextmanager
async def _server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def talk_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    listener = socket.create_server(("127.0.0.1", 0))
    # else the kernel takes tens of megabytes that nobody has read, and all is "sent" long before it arrives
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    async with await asyncio.start_server(talk_and_close, sock=listener, limit=1 << 19) as server:
        yield "{}:{}".format(*server.sockets[0].getsockname()[:2])


async def test_a_registry_that_never_answers_is_not_waited_for(client: Client) -> None:
    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with _server(silent) as address:
        with pytest.raises(Disconnected) as failed:
            await client.head(Reference.parse(f"{address}/oci/any:1"))
        assert str(failed.value) == f"The registry {address} was silent for 0.3 s at {address}/oci/any:1."


async def test_a_registry_that_falls_silent_in_the_middle_of_a_blob_is_asked_a_few_times(
    client: Client,
) -> None:
    asked = []

    async def stop_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA) + DATA[:4])
        await asyncio.sleep(60)

    async with _server(stop_in_the_middle) as address:
        repository = Reference.parse(f"{address}/oci/any")
        with pytest.raises(Disconnected) as failed:
            await client.blob(repository, DESCRIPTOR)
    what = f"{repository.name}@{DESCRIPTOR.digest}"
    assert str(failed.value) == f"The registry {address} was silent for 0.3 s at {what}."
    assert len(asked) == 4


async def test_a_registry_that_stops_reading_does_not_hold_an_upload_forever(client: Client) -> None:
    async def stop_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"POST"):
            writer.write(b"HTTP/1.1 202 Accepted\r\nLocation: /up/1\r\nContent-Length: 0\r\n")
            writer.write(b"Connection: close\r\n\r\n")
        else:
            await asyncio.sleep(60)

    data = bytes(20_000_000)
    async with _server(stop_reading) as address:
        repository = Reference.parse(f"{address}/oci/any")
        started = time.monotonic()
        with pytest.raises(Disconnected) as failed:
            await client.upload(repository, data, digest=sha256_digest(data))
    assert str(failed.value).startswith(f"The registry {address} was silent for 0.3 s at {repository.name}@")
    assert time.monotonic() - started < 10


async def test_an_upload_that_takes_longer_than_silence_may_last_goes_on_as_long_as_it_moves() -> None:
    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"POST"):
            writer.write(b"HTTP/1.1 202 Accepted\r\nLocation: /up/1\r\nContent-Length: 0\r\n")
        else:
            left = len(data)
            while left > 0:
                left -= len(await reader.read(1 << 20))
                await asyncio.sleep(0.12)
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n")
        writer.write(b"Connection: close\r\n\r\n")

    data = bytes(24_000_000)
    async with _server(read_slowly) as address, Client(insecure=True, silence_seconds=2.0) as client:
        started = time.monotonic()
        await client.upload(Reference.parse(f"{address}/oci/any"), data, digest=sha256_digest(data))
    assert time.monotonic() - started > 2.5
