"""Whom we ask for the identity of a trusted publisher: an index says the audience, the CI system makes the token."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.clients.identity import identity_token
from controller.model.errors import Problem, Terminal, Transient
from controller.variables import IdentityIssuer

AUDIENCE, BEARER, TOKEN = "the-index", "asks-for-identities", "aaa.bbb.ccc"


@dataclass
class Place:
    """An index and an issuer on one server; each refuses what the real one refuses, and whatever else it is told to."""

    url: str = ""
    answers: dict[str, web.Response] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        if request.path in self.answers:
            return self.answers[request.path]
        match request.method, request.path:
            case "GET", "/_/oidc/audience":
                assert "Authorization" not in request.headers
                return web.json_response({"audience": AUDIENCE})
            case "GET", "/plans/1/idtoken":
                good = request.query == {"api-version": "2.0", "audience": AUDIENCE}
                allowed = request.headers.get("Authorization") == f"Bearer {BEARER}"
                return web.json_response(
                    {"value": TOKEN, "count": 1}, status=200 if good and allowed else 401
                )
        return web.Response(status=404)

    async def token(self) -> str:
        issuer = IdentityIssuer(f"{self.url}/plans/1/idtoken?api-version=2.0", BEARER)
        return await identity_token(issuer, f"{self.url}/team/upload/")

    async def problem(self) -> Problem:
        with pytest.raises(Problem) as caught:
            await self.token()
        assert BEARER not in str(caught.value)
        return caught.value


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", place.answer)
    async with TestServer(application) as server:
        place.url = str(server.make_url("")).rstrip("/")
        yield place


async def test_the_token_is_for_the_audience_that_the_index_asks_for(place: Place) -> None:
    assert await place.token() == TOKEN
    assert place.seen == ["/_/oidc/audience", f"/plans/1/idtoken?api-version=2.0&audience={AUDIENCE}"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=404), "404"),
        (web.Response(status=501), "501"),
        (web.Response(status=303, headers={"Location": "/plans/1/idtoken"}), "303"),
        (web.Response(text="<html>welcome</html>"), "200 without audience"),
        (web.json_response(["the-index"]), "200 without audience"),
        (web.json_response({"audience": ""}), "200 without audience"),
    ],
)
async def test_an_index_without_trusted_publishing_needs_other_credentials(
    place: Place, answer: web.Response, said: str
) -> None:
    place.answers["/_/oidc/audience"] = answer
    problem = await place.problem()
    assert isinstance(problem, Terminal)
    assert (problem.reason, problem.message, problem.fix) == (
        "CredentialsMissing",
        (
            "There are no credentials for uploads, and the index knows no trusted publishing: "
            f"{place.url}/_/oidc/audience answered {said}. The candidates are kept."
        ),
        "Name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN.",
    )
    assert place.seen == ["/_/oidc/audience"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=401), "401"),
        (web.Response(status=302, headers={"Location": "/_/oidc/audience"}), "302"),
        (web.json_response({"audience": AUDIENCE}), "200 without value"),
    ],
)
async def test_an_issuer_that_gives_no_token_is_named_with_the_right_that_it_wants(
    place: Place, answer: web.Response, said: str
) -> None:
    place.answers["/plans/1/idtoken"] = answer
    problem = await place.problem()
    assert isinstance(problem, Terminal)
    assert (problem.reason, problem.message, problem.fix) == (
        "CredentialsMissing",
        (
            "There are no credentials for uploads, and no identity to publish with: "
            f"{place.url}/plans/1/idtoken answered {said}. The candidates are kept."
        ),
        "Give the job the right `id-token: write`; or name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN.",
    )
    assert len(place.seen) == 2


@pytest.mark.parametrize("path", ["/_/oidc/audience", "/plans/1/idtoken"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_fails_for_now_is_tried_again(place: Place, path: str, status: int) -> None:
    place.answers[path] = web.Response(status=status)
    problem = await place.problem()
    assert isinstance(problem, Transient)
    assert str(problem) == f"{place.url}{path} answered {status}."


async def test_an_index_that_is_away_is_tried_again(place: Place) -> None:
    place.url = "http://127.0.0.1:1"
    problem = await place.problem()
    assert isinstance(problem, Transient)
    assert str(problem) == "http://127.0.0.1:1/_/oidc/audience cannot be reached: Connection refused."
