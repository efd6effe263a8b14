"""The hooks as callers meet them, a real registry among them: whoever knows the secret wakes the loop, and does no more."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from builder.oci import Blob, Client, Reference
from controller.admin import server
from controller.admin.health import STALE_SECONDS, Health
from controller.admin.server import Address, Loop, serving
from controller.model.errors import Terminal
from tests.parts.registry import running_registry
from tests.parts.servers import free_port

SECRET = "open sesame"  # noqa: S105 -- of this test
SHOWN = {"Authorization": f"Bearer {SECRET}"}


@dataclass
class Endpoint:
    """A served endpoint, and what it did to the loop."""

    url: str = ""
    wakes: int = 0
    health: Health | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.wakes += 1
        self.news.set()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    loop = Loop(made.wake, lambda: made.health)
    async with serving(Address("127.0.0.1", 0), secret=SECRET, loop=loop) as at:
        made.url = f"http://{at}"
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.mark.parametrize("path", ["/hooks/registry", "/hooks/index"])
async def test_a_call_with_the_secret_wakes_the_loop_whatever_its_body(
    endpoint: Endpoint, session: aiohttp.ClientSession, path: str
) -> None:
    for body in (b"", b"{", b'{"events": []}', b'{"events": [{"action": "pull"}, {"action": "push"}]}'):
        endpoint.news.clear()
        async with session.post(endpoint.url + path, headers=SHOWN, data=body) as answer:
            assert (answer.status, await answer.text()) == (202, "The loop will look.\n")
        await asyncio.wait_for(endpoint.news.wait(), 20)


async def test_a_notification_of_readings_alone_wakes_nobody(
    endpoint: Endpoint, session: aiohttp.ClientSession
) -> None:
    body = b'{"events": [{"action": "pull"}, {"action": "pull"}]}'
    async with session.post(f"{endpoint.url}/hooks/registry", headers=SHOWN, data=body) as answer:
        assert (answer.status, await answer.text()) == (202, "Nothing was changed.\n")
    await asyncio.sleep(0.2)
    assert endpoint.wakes == 0


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 401, "Send the shared secret as Authorization: Bearer SECRET.\n"),
        ({"Authorization": "Bearer "}, 401, "Send the shared secret as Authorization: Bearer SECRET.\n"),
        (
            {"Authorization": "Basic b3Blbg=="},
            401,
            "Send the shared secret as Authorization: Bearer SECRET.\n",
        ),
        ({"Authorization": "Bearer open sesam"}, 403, "The shared secret is another one.\n"),
        ({"Authorization": "Bearer öffne"}, 403, "The shared secret is another one.\n"),
    ],
)
async def test_a_call_without_the_secret_wakes_nobody_and_is_told_why(
    endpoint: Endpoint, session: aiohttp.ClientSession, headers: dict[str, str], status: int, text: str
) -> None:
    async with session.post(f"{endpoint.url}/hooks/registry", headers=headers, data=b"x" * 10) as answer:
        assert (answer.status, await answer.text()) == (status, text)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    await asyncio.sleep(0.2)
    assert endpoint.wakes == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hooks/registry", 405),
        ("POST", "/hooks/other", 404),
        ("GET", "/", 404),
        ("POST", "/healthz", 405),
    ],
)
async def test_nothing_else_is_served(
    endpoint: Endpoint, session: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with session.request(method, endpoint.url + path, headers=SHOWN) as answer:
        assert answer.status == status
    assert endpoint.wakes == 0


async def test_a_body_over_the_limit_is_refused_announced_or_not(
    endpoint: Endpoint, session: aiohttp.ClientSession
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * (1 << 16)

    expected = "A hook's body has at most 1048576 bytes.\n"
    for body in (b"x" * ((1 << 20) + 1), endless()):
        try:
            async with session.post(f"{endpoint.url}/hooks/index", headers=SHOWN, data=body) as answer:
                assert (answer.status, await answer.text()) == (413, expected)
        except aiohttp.ClientConnectionError:
            continue  # it closed the line while we were still sending, which HTTP allows
    await asyncio.sleep(0.2)
    assert endpoint.wakes == 0


async def test_a_body_that_does_not_come_is_not_waited_for(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    host, _, port = endpoint.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /hooks/index HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode())
    assert b"408" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert endpoint.wakes == 0


async def test_a_flood_wakes_the_loop_a_few_times(endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
    async def call() -> int:
        async with session.post(f"{endpoint.url}/hooks/registry", headers=SHOWN) as answer:
            return answer.status

    for _ in range(5):
        assert set(await asyncio.gather(*(call() for _ in range(100)))) == {202}
        await asyncio.sleep(0.2)
    assert 1 <= endpoint.wakes <= 12


@pytest.mark.parametrize(
    ("health", "status", "told"),
    [
        (None, 503, {"ready": False, "lastPassSeconds": None, "unreadable": []}),
        (Health(0.26), 200, {"ready": True, "lastPassSeconds": 0.3, "unreadable": []}),
        (
            Health(1.0, ("base image debian:12",)),
            200,
            {"ready": True, "lastPassSeconds": 1.0, "unreadable": ["base image debian:12"]},
        ),
        (
            Health(1.0, ("release records", "targets"), blocked=True),
            503,
            {"ready": False, "lastPassSeconds": 1.0, "unreadable": ["release records", "targets"]},
        ),
        (
            Health(STALE_SECONDS),
            503,
            {"ready": False, "lastPassSeconds": STALE_SECONDS, "unreadable": []},
        ),
    ],
)
async def test_readiness_tells_the_age_of_the_last_pass_and_what_it_could_not_read(
    endpoint: Endpoint, session: aiohttp.ClientSession, health: Health | None, status: int, told: object
) -> None:
    endpoint.health = health
    async with session.get(f"{endpoint.url}/readyz") as answer:
        assert (answer.status, await answer.json()) == (status, told)
    async with session.get(f"{endpoint.url}/healthz") as answer:
        assert answer.status == 200


async def test_slow_callers_keep_nobody_waiting(endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
    host, _, port = endpoint.url.removeprefix("http://").partition(":")
    head = f"POST /hooks/index HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 9\r\n\r\n"
    writers = []
    for sent in ("POST /hooks/index HT", head, f"{head}12") * 20:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent.encode())
        writers.append(writer)
    started = asyncio.get_running_loop().time()
    async with session.post(f"{endpoint.url}/hooks/index", headers=SHOWN) as answer:
        assert answer.status == 202
    assert asyncio.get_running_loop().time() - started < 1
    for writer in writers:
        writer.close()


async def test_an_address_that_is_taken_is_refused_with_the_cure(endpoint: Endpoint) -> None:
    port = int(endpoint.url.rpartition(":")[2])
    with pytest.raises(Terminal) as caught:
        async with serving(Address("127.0.0.1", port), secret=SECRET, loop=Loop(endpoint.wake, lambda: None)):
            pass
    assert caught.value.reason == "ListenFailed"
    assert caught.value.message.startswith(f"Hooks cannot be served at 127.0.0.1:{port}: ")
    assert caught.value.fix == "Name another address with --listen HOST:PORT."


async def test_there_is_no_open_mode(endpoint: Endpoint) -> None:
    with pytest.raises(ValueError, match="open to everybody"):
        async with serving(Address("127.0.0.1", 0), secret="", loop=Loop(endpoint.wake, lambda: None)):
            pass


async def test_the_notifications_of_a_real_registry_wake_the_loop_as_they_are(tmp_path: Path) -> None:
    made = Endpoint()
    at = Address("127.0.0.1", free_port())
    token = secrets.token_hex(16)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(at, secret=token, loop=Loop(made.wake, lambda: None)))
        hook = (f"http://{at}/hooks/registry", token)
        registry = stack.enter_context(running_registry(tmp_path, notified=hook))
        client = await stack.enter_async_context(Client(insecure=True))
        reference = Reference.parse(f"{registry}/team/echo:latest")
        pushed = await client.put_artifact(reference, [Blob("text/plain", b"one")], artifact_type="x/y")
        await asyncio.wait_for(made.news.wait(), 5)
        await asyncio.sleep(0.5)
        seen = made.wakes
        made.news.clear()
        assert (await client.head(reference)).digest == pushed
        await client.put_artifact(reference, [Blob("text/plain", b"two")], artifact_type="x/y")
        await asyncio.wait_for(made.news.wait(), 5)
        assert made.wakes > seen
        await asyncio.sleep(0.5)
        seen = made.wakes
        # Each look reads tags, and the registry tells of that as well: the loop must not wake itself.
        for _ in range(3):
            await client.manifest(reference)
            await client.head(reference)
        await asyncio.sleep(1)
        assert made.wakes == seen
