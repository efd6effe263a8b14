"""Trusted publishing: an identity by file becomes an upload token at the index, and neither is ever seen anywhere."""

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from builder.contract import Outcome, PublishRun
from builder.problems import Refused, TryAgain
from builder.verbs.publish import publish
from tests.contract.publishing import Made, Proxy, make_release, proxy_before
from tests.parts.index import Index

ISSUER, SUBJECT, AUDIENCE = "https://ci.example", "repo:team/runtime", "the-index"
HOUR = 3600


def identity(*, audience: object = AUDIENCE, expires_in: float = HOUR) -> str:
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": audience, "exp": time.time() + expires_in}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)] + [b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class Mint:
    """The mint of an index in front of a real one, which knows nothing of minted tokens: it gets its own password."""

    index: Index
    token: str = field(default_factory=lambda: f"minted-{secrets.token_hex(8)}")
    refusals: dict[str, web.Response] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    uploads_with: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        if request.path in self.refusals:
            return self.refusals[request.path]
        if (request.method, request.path) == ("GET", "/_/oidc/audience"):
            return web.json_response({"audience": AUDIENCE})
        if (request.method, request.path) == ("POST", "/_/oidc/mint-token"):
            assert request.content_type == "application/json"
            self.bodies.append(await request.json())
            return web.json_response({"success": True, "token": self.token, "expires": 900})
        if request.method == "POST":
            self.uploads_with.append(request.headers["Authorization"])
        return None

    def headers(self, sent: dict[str, str]) -> dict[str, str]:
        if sent.get("Authorization") == aiohttp.encode_basic_auth("__token__", self.token):
            sent["Authorization"] = aiohttp.encode_basic_auth(self.index.username, self.index.password)
        return sent


@dataclass(frozen=True)
class Place:
    mint: Mint
    proxy: Proxy
    made: Made
    secret: Path

    def run(self, given: str | None = None) -> PublishRun:
        if given is not None:
            (self.secret / "oidc-token").write_text(given + "\n")
        index = self.proxy.index
        return PublishRun(
            files=(self.made.folder,),
            upload_url=index.upload_url,
            simple_url=index.simple_url,
            deadline_seconds=20,
            credentials=self.secret,
        )

    @property
    def origin(self) -> str:
        return self.proxy.index.simple_url.partition("/simple/")[0]

    async def refusal(self, given: str) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            await publish(self.run(given))
        assert self.mint.uploads_with == []
        return caught.value.reason, caught.value.message


@pytest.fixture
async def place(pypiserver: Index, tmp_path: Path) -> AsyncIterator[Place]:
    made = make_release(tmp_path / "dist", f"wsr-trusted-{secrets.token_hex(4)}")
    secret = tmp_path / "secret"
    secret.mkdir()
    mint = Mint(pypiserver)
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(mint.answer)
        proxy.headers = mint.headers
        yield Place(mint, proxy, made, secret)


@pytest.mark.parametrize("audience", [AUDIENCE, ["another", AUDIENCE]])
async def test_an_identity_becomes_one_upload_token_for_all_files_and_nobody_sees_either(
    place: Place, pypiserver: Index, capfd: pytest.CaptureFixture[str], audience: object
) -> None:
    given = identity(audience=audience)
    report = await publish(place.run(given))
    assert report.outcome is Outcome.DONE
    assert pypiserver.files(place.made.project) == place.made.sha256
    assert place.mint.bodies == [{"token": given}]
    assert place.mint.uploads_with == [aiohttp.encode_basic_auth("__token__", place.mint.token)] * 2
    seen = "".join(capfd.readouterr()) + report.to_line()
    assert given not in seen
    assert place.mint.token not in seen


async def test_nothing_is_minted_when_nothing_is_to_be_uploaded(place: Place) -> None:
    await publish(place.run(identity()))
    await publish(place.run())
    assert len(place.mint.bodies) == 1


async def test_credentials_beside_the_identity_are_for_reading(place: Place) -> None:
    (place.secret / "username").write_text("reader")
    (place.secret / "password").write_text("of pages")
    read_with: set[str | None] = set()

    async def note(request: web.Request) -> None:
        if "/simple/" in request.path:
            read_with.add(request.headers.get("Authorization"))

    place.proxy.faults.append(note)
    await publish(place.run(identity()))
    assert read_with == {aiohttp.encode_basic_auth("reader", "of pages")}
    assert place.mint.uploads_with == [aiohttp.encode_basic_auth("__token__", place.mint.token)] * 2


@pytest.mark.parametrize("status", [403, 422])
async def test_an_identity_that_the_index_does_not_trust_is_refused_with_its_reasons(
    place: Place, status: int
) -> None:
    errors = [
        {"code": "invalid-publisher", "description": "valid token, but no\n corresponding publisher."},
        {"code": "other", "description": "look"},
    ]
    place.mint.refusals["/_/oidc/mint-token"] = web.json_response(
        {"message": "Token request failed", "errors": errors}, status=status
    )
    assert await place.refusal(identity()) == (
        "CredentialsRejected",
        (
            f"{place.origin}/_/oidc/mint-token answered {status} to the identity token in oidc-token: invalid-publisher: "
            "valid token, but no corresponding publisher; other: look. "
            "Register its issuer and subject at the index as a trusted publisher of this project."
        ),
    )


async def test_a_refusal_without_reasons_says_so(place: Place) -> None:
    place.mint.refusals["/_/oidc/mint-token"] = web.Response(status=403, text="<html>no</html>")
    assert await place.refusal(identity()) == (
        "CredentialsRejected",
        (
            f"{place.origin}/_/oidc/mint-token answered 403 to the identity token in oidc-token: it gave no reason. "
            "Register its issuer and subject at the index as a trusted publisher of this project."
        ),
    )


async def test_an_index_without_trusted_publishing_is_told_from_one_that_refuses(place: Place) -> None:
    place.proxy.faults.clear()  # what pypiserver itself answers
    assert await place.refusal(identity()) == (
        "IndexRefused",
        (
            f"{place.origin}/_/oidc/audience answered 404: the index does not support trusted publishing. "
            "Put a token there instead of oidc-token, or username and password."
        ),
    )


async def test_an_identity_that_expired_is_told_before_the_index_is_asked(place: Place) -> None:
    assert await place.refusal(identity(expires_in=-90.2)) == (
        "CredentialsRejected",
        (
            f"The identity token in oidc-token, of {ISSUER}, expired 90 s ago. "
            "Have its issuer write a new one there just before the publication."
        ),
    )
    assert not any("oidc" in path for _, path in place.proxy.seen)


@pytest.mark.parametrize(
    ("audience", "shown"), [("someone", "someone"), (["a", "b"], "a, b"), ([], "nobody")]
)
async def test_an_identity_for_another_audience_is_told_with_both(
    place: Place, audience: object, shown: str
) -> None:
    assert await place.refusal(identity(audience=audience)) == (
        "CredentialsRejected",
        (
            f"The identity token in oidc-token is meant for {shown}, and the index asks for {AUDIENCE}. "
            f"Have its issuer make one with audience {AUDIENCE}."
        ),
    )
    assert place.mint.bodies == []


@pytest.mark.parametrize("given", ["", "a-plain-token", "a.b.c", "e30.W10.e30", "e30.bnVsbA.e30"])
async def test_what_is_no_identity_token_is_told_without_showing_it(place: Place, given: str) -> None:
    assert await place.refusal(given) == (
        "IndexRefused",
        "The file oidc-token holds no OIDC identity token (a JWT). Write there what its issuer gives out.",
    )


@pytest.mark.parametrize("path", ["/_/oidc/audience", "/_/oidc/mint-token"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_mint_in_trouble_is_asked_again_when_it_says(place: Place, path: str, status: int) -> None:
    place.mint.refusals[path] = web.Response(status=status, headers={"Retry-After": "11"})
    with pytest.raises(TryAgain) as caught:
        await publish(place.run(identity()))
    problem = caught.value
    assert (problem.reason, problem.message, problem.retry_after) == (
        "IndexUnavailable",
        f"{place.origin}{path} answered {status}.",
        11.0,
    )


async def test_the_identity_is_not_sent_on_to_where_a_redirect_points(place: Place) -> None:
    place.mint.refusals["/_/oidc/mint-token"] = web.Response(status=307, headers={"Location": "/elsewhere"})
    assert await place.refusal(identity()) == (
        "IndexRefused",
        (
            f"{place.origin}/_/oidc/mint-token answered 307 and points elsewhere. "
            "Name the final address as the upload URL."
        ),
    )
    assert ("POST", "/elsewhere") not in place.proxy.seen


@pytest.mark.parametrize("content", ["<html>", "[]", '{"success": true}', '{"token": 7}'])
async def test_an_answer_without_a_token_is_no_trusted_publishing(place: Place, content: str) -> None:
    place.mint.refusals["/_/oidc/mint-token"] = web.Response(text=content, content_type="application/json")
    assert await place.refusal(identity()) == (
        "IndexRefused",
        (
            f"{place.origin}/_/oidc/mint-token answered without token, so it is no trusted publishing. "
            "Check the upload URL."
        ),
    )


async def test_a_folder_without_credentials_names_the_files_that_it_may_hold(place: Place) -> None:
    assert not list(place.secret.iterdir())
    with pytest.raises(Refused) as caught:
        await publish(place.run())
    assert (caught.value.reason, caught.value.message) == (
        "CredentialsMissing",
        (
            f"{place.secret} holds no credentials: no file token, no username and password, no oidc-token. "
            "Put them there."
        ),
    )
