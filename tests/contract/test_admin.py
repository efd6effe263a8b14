"""The admin endpoint as its callers meet it: who may, one at a time, and what it answers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from controller.admin.guards import TokenGuard
from controller.admin.refresh import PATH, RefreshEndpoint
from controller.admin.server import Address, Loop, serving
from controller.model.errors import Transient
from controller.reconcile.refresh import Refreshed

TOKEN = "a token that nobody guesses"  # noqa: S105 -- of this test
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
DONE = Refreshed(
    ("polite",), ("plain",), ("docker/local/ws-1",), ("docker/local/ws-2",), ("ws-3",), {"plain": "gone"}
)
ANSWER = {
    "pulled": ["polite"],
    "failed": ["plain"],
    "recreated": ["docker/local/ws-1"],
    "busy": ["docker/local/ws-2"],
    "skipped": ["ws-3"],
    "errors": {"plain": "gone"},
}


@dataclass
class Asked:
    """What the endpoint asked to be done; it is done when `may_end` is set."""

    calls: list[tuple[tuple[str, ...], bool, bool]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def runtimes(self) -> tuple[str, ...]:
        return ("polite", "plain")

    async def refresh(self, templates: tuple[str, ...], *, recreate: bool, force: bool) -> Refreshed:
        self.calls.append((templates, recreate, force))
        self.begun.set()
        await self.may_end.wait()
        return DONE


@dataclass
class Served:
    """A served endpoint."""

    url: str
    asked: Asked
    session: aiohttp.ClientSession

    async def post(
        self, query: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        sent = SHOWN if headers is None else headers
        async with self.session.post(f"{self.url}{PATH}{query}", headers=sent) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text()), answer


@pytest.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    guard = getattr(request, "param", TokenGuard(TOKEN))
    asked = Asked()
    asked.may_end.set()
    loop = Loop(lambda: None, lambda: None, refresh=RefreshEndpoint(asked, guard))
    async with (
        serving(Address("127.0.0.1", 0), secret="of hooks", loop=loop) as at,  # noqa: S106 -- of this test
        aiohttp.ClientSession() as session,
    ):
        yield Served(f"http://{at}", asked, session)


async def test_it_answers_what_was_pulled_failed_recreated_busy_and_skipped_and_why(served: Served) -> None:
    assert (await served.post())[:2] == (200, ANSWER)
    assert (await served.post("?runtime=plain&recreate=false"))[:2] == (200, ANSWER)
    assert (await served.post("?force=true"))[:2] == (200, ANSWER)
    assert served.asked.calls == [
        (("polite", "plain"), True, False),
        (("plain",), False, False),
        (("polite", "plain"), True, True),
    ]


async def test_an_unknown_runtime_is_refused_with_those_that_are_known(served: Served) -> None:
    told = {"error": "There is no runtime 'rude'.", "known_runtimes": ["plain", "polite"]}
    assert (await served.post("?runtime=rude"))[:2] == (400, told)
    for word in ("recreate", "force"):
        status, told, _ = await served.post(f"?{word}=maybe")
        assert (status, told) == (400, {"error": f"{word} is 'maybe'; write true or false."})
    assert served.asked.calls == []


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 401, "Send a token as Authorization: Bearer TOKEN.\n"),
        ({"Authorization": "Bearer "}, 401, "Send a token as Authorization: Bearer TOKEN.\n"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "Send a token as Authorization: Bearer TOKEN.\n"),
        ({"Authorization": "Bearer of hooks"}, 403, "The token is another one than WSR_ADMIN_TOKEN.\n"),
        ({"Authorization": f"Bearer {TOKEN}x"}, 403, "The token is another one than WSR_ADMIN_TOKEN.\n"),
    ],
)
async def test_without_the_token_nothing_is_done_and_nothing_is_told(
    served: Served, headers: dict[str, str], status: int, text: str
) -> None:
    for query in ("", "?runtime=rude"):
        answered, told, answer = await served.post(query, headers)
        assert (answered, told) == (status, text)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    async with served.session.get(f"{served.url}{PATH}/0", headers=headers) as answer:
        assert answer.status == status
    assert served.asked.calls == []


@pytest.mark.parametrize("served", ["The admin endpoint is off, since …"], indirect=True)
async def test_where_nobody_may_it_says_why_whatever_is_shown(served: Served) -> None:
    for headers in ({}, SHOWN):
        assert (await served.post("", headers))[:2] == (403, "The admin endpoint is off, since …\n")
    assert served.asked.calls == []


async def test_a_second_call_is_refused_while_the_first_runs(served: Served) -> None:
    served.asked.may_end.clear()
    first = asyncio.create_task(served.post())
    await served.asked.begun.wait()
    told = {"error": "Another refresh runs. Call again when it has ended."}
    assert (await served.post())[:2] == (409, told)
    served.asked.may_end.set()
    assert (await first)[0] == 200
    assert (await served.post())[0] == 200


async def test_a_caller_that_does_not_want_to_wait_is_told_where_to_look(served: Served) -> None:
    served.asked.may_end.clear()
    status, told, answer = await served.post("", {**SHOWN, "Prefer": "respond-async"})
    where = answer.headers["Location"]
    assert (status, told) == (202, {"location": where})

    async def look() -> tuple[int, Any]:
        async with served.session.get(f"{served.url}{where}", headers=SHOWN) as found:
            return found.status, await found.json()

    assert await look() == (202, {"location": where})
    served.asked.may_end.set()
    await asyncio.sleep(0.05)
    assert await look() == (200, ANSWER)
    async with served.session.get(f"{served.url}{PATH}/unknown", headers=SHOWN) as unknown:
        assert unknown.status == 404


async def test_a_caller_that_hangs_up_leaves_the_refresh_running(served: Served) -> None:
    served.asked.may_end.clear()
    first = asyncio.create_task(served.post())
    await served.asked.begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await served.post())[0] == 409


class Silent:
    """Stands for a cluster that does not answer."""

    async def refusal(self, token: str) -> str | None:
        raise Transient(f"nobody answers ({len(token)})")


@pytest.mark.parametrize("served", [Silent()], indirect=True)
async def test_where_it_cannot_be_known_who_calls_nobody_may(served: Served) -> None:
    assert (await served.post())[0] == 503
    assert served.asked.calls == []
