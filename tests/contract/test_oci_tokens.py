"""The OCI client against docker-registry with token authentication, and what it does when a right ends in the middle."""

import asyncio
import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import (
    Blob,
    Client,
    Credential,
    DockerConfig,
    FixedCredential,
    RateLimited,
    Reference,
    Unauthorized,
    Unavailable,
    sha256_digest,
)
from builder.oci.tokens import Tokens
from tests.contract.lying_proxy import lying_proxy
from tests.parts.registry import running_registry, write_htpasswd
from tests.parts.token_server import TokenServer, running_token_server

PULL, PUSH = "repository:oci/tokens:pull", "repository:oci/tokens:pull,push"
ROBOT = Credential("robot", "right")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TokenServer, str]]:
    folder = tmp_path_factory.mktemp("tokens")
    with (
        running_token_server(folder, robot="right", reader="right") as tokens,
        running_registry(folder / "registry", tokens=tokens) as address,
    ):
        yield tokens, address


@pytest.fixture
def tokens(parts: tuple[TokenServer, str]) -> TokenServer:
    tokens, _ = parts
    tokens.asked.clear()
    tokens.expired, tokens.expires_in, tokens.answer = 0, 300, None
    tokens.users |= {"robot": "right"}
    tokens.readers = frozenset({"reader"})
    return tokens


@pytest.fixture
async def reference(parts: tuple[TokenServer, str], tokens: TokenServer) -> Reference:
    reference = Reference.parse(f"{parts[1]}/oci/tokens:1")
    async with _client(reference) as client:
        await client.put_artifact(reference, [Blob("text/plain", b"x")], artifact_type="text/plain")
    tokens.asked.clear()
    return reference


def _client(reference: Reference, credential: Credential = ROBOT) -> Client:
    return Client(FixedCredential(reference.host, credential), insecure=True)


async def test_one_token_serves_all_requests_of_a_scope_however_many_come_at_once(
    reference: Reference, tokens: TokenServer
) -> None:
    async with _client(reference) as client:
        await asyncio.gather(*(client.head(reference) for _ in range(8)))
        await client.manifest(reference)
        await asyncio.gather(
            *(client.upload(reference, data, digest=sha256_digest(data)) for data in (b"1", b"2", b"3"))
        )
    assert tokens.asked == [(PULL,), (PUSH,)]


async def test_a_mount_asks_for_both_repositories_in_one_token(
    reference: Reference, tokens: TokenServer
) -> None:
    async with _client(reference) as client:
        manifest = await client.manifest(reference)
        other = Reference.parse(f"{reference.host}/oci/tokens-other")
        assert await client.mount(other, manifest.layers[0].digest, reference)
    assert tokens.asked == [(PULL,), ("repository:oci/tokens-other:pull,push", PULL)]


async def test_a_token_is_renewed_before_it_runs_out(reference: Reference, tokens: TokenServer) -> None:
    tokens.expires_in = 1
    async with _client(reference) as client:
        await client.head(reference)
        await asyncio.sleep(0.6)
        await client.head(reference)
    assert len(tokens.asked) == 2


async def test_a_token_that_the_registry_does_not_take_is_renewed_once(
    reference: Reference, tokens: TokenServer
) -> None:
    async with _client(reference) as client:
        await client.head(reference)
        tokens.expired = 1
        await client.upload(reference, b"renewed", digest=sha256_digest(b"renewed"))
    assert tokens.asked == [(PULL,), (PUSH,), (PUSH,)]


async def test_tokens_that_are_never_taken_end_as_a_refusal(
    reference: Reference, tokens: TokenServer
) -> None:
    tokens.expired = 1_000
    async with _client(reference) as client:
        with pytest.raises(Unauthorized) as refused:
            await client.head(reference)
        assert str(refused.value) == (
            f"{reference.host} answered 401 to HEAD {reference}. "
            f"The credentials for {reference.host} are missing, wrong or not allowed to do this."
        )
    assert len(tokens.asked) == 1


async def test_who_may_only_read_is_refused_a_write_with_the_registrys_words(reference: Reference) -> None:
    async with _client(reference, Credential("reader", "right")) as client:
        await client.head(reference)
        with pytest.raises(Unauthorized) as refused:
            await client.upload(reference, b"y", digest=sha256_digest(b"y"))
    assert str(refused.value) == (
        f"{reference.host} answered 401 UNAUTHORIZED (authentication required) to POST "
        f"{reference.name}@{sha256_digest(b'y')}. "
        f"The credentials for {reference.host} are missing, wrong or not allowed to do this."
    )


@pytest.mark.parametrize("credential", [Credential("robot", "wr0ng"), None])
async def test_a_token_server_that_refuses_is_named_with_what_was_asked_for(
    reference: Reference, tokens: TokenServer, credential: Credential | None
) -> None:
    known = FixedCredential(reference.host, credential) if credential else None
    async with Client(known, insecure=True) as client:
        with pytest.raises(Unauthorized) as refused:
            await client.head(reference)
    who = f"the credentials for {reference.host}" if credential else "an anonymous request"
    assert str(refused.value) == (
        f"{tokens.url}/token refused {who} for {PULL} with 401. Run docker login {reference.host}."
    )


async def test_an_identity_token_buys_tokens_too(
    reference: Reference, tokens: TokenServer, tmp_path: Path
) -> None:
    tokens.refresh_tokens["robot"] = "long-lived"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {reference.host: {"identitytoken": "long-lived"}}}))
    async with Client(DockerConfig(config), insecure=True) as client:
        await client.upload(reference, b"z", digest=sha256_digest(b"z"))
    assert tokens.asked == [(PUSH,)]


async def test_a_token_server_that_fails_is_named_and_may_be_asked_again(
    reference: Reference, tokens: TokenServer
) -> None:
    page = b"<html>gateway</html>"
    async with _client(reference) as client:
        tokens.answer = (502, {"Content-Type": "text/html"}, page)
        with pytest.raises(Unavailable) as failed:
            await client.head(reference)
        assert str(failed.value) == f"The token server {tokens.url}/token of {reference.host} answered 502."
        tokens.answer = (429, {"Retry-After": "30"}, b"")
        with pytest.raises(RateLimited) as limited:
            await client.head(reference)
        assert limited.value.retry_after == 30
        tokens.answer = (200, {"Content-Type": "application/json"}, b'{"message": "hello"}')
        with pytest.raises(Unavailable, match="answered without a token"):
            await client.head(reference)
        tokens.answer = (200, {"Content-Type": "text/html"}, page)
        with pytest.raises(Unavailable, match="could not be asked") as unread:
            await client.head(reference)
        assert "gateway" not in str(unread.value)
        tokens.answer = None
        await client.head(reference)


async def test_a_401_in_the_middle_of_an_upload_renews_and_goes_on(
    reference: Reference, tokens: TokenServer
) -> None:
    class Robot:
        async def for_host(self, host: str) -> Credential:
            del host
            return ROBOT

    async with lying_proxy(reference.host) as proxy, Client(Robot(), insecure=True) as client:
        turns = itertools.count()
        challenges: list[str] = []

        def note(_: web.Request, answer: web.Response) -> web.Response:
            challenges.extend(answer.headers.getall("WWW-Authenticate", []))
            return answer

        def refuse_once(request: web.Request) -> web.Response | None:
            if request.method == "PUT" and next(turns) == 0:
                return web.Response(status=401, headers={"WWW-Authenticate": challenges[0]})
            return None

        proxy.spoil, proxy.refuse = note, refuse_once
        repository = Reference.parse(f"{proxy.address}/{reference.repository}")
        data = bytes(300_000)
        await client.upload(repository, data, digest=sha256_digest(data))
        assert await client.has_blob(repository, sha256_digest(data))
        assert len(proxy.requests("PUT")) == 2
    assert tokens.asked == [(PUSH,), (PUSH,), (PULL,)]


async def test_a_password_that_was_changed_meanwhile_is_read_again(
    reference: Reference, tokens: TokenServer, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"

    def write(word: str) -> None:
        auth = base64.b64encode(f"robot:{word}".encode()).decode()
        config.write_text(json.dumps({"auths": {reference.host: {"auth": auth}}}))

    write("right")
    async with Client(DockerConfig(config), insecure=True) as client:
        await client.head(reference)
        tokens.users["robot"] = "newer"
        write("newer")
        await client.upload(reference, b"n", digest=sha256_digest(b"n"))
    assert tokens.asked == [(PULL,), (PUSH,)]


async def test_a_basic_password_that_was_changed_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    words = iter(["old", "new"])

    class Renewed:
        async def for_host(self, host: str) -> Credential:
            del host
            return Credential("robot", next(words))

    with running_registry(tmp_path, users={"robot": "old"}) as address:
        reference = Reference.parse(f"{address}/oci/renewed:1")
        async with Client(Renewed(), insecure=True) as client:
            await client.tags(reference)
            write_htpasswd(tmp_path, {"robot": "new"})
            await client.tags(reference)
    assert next(words, None) is None


async def test_credentials_are_not_sent_to_a_token_server_without_tls() -> None:
    class Never:
        def __getattr__(self, name: str) -> object:
            raise AssertionError("something was sent")

    tokens = Tokens(Never(), FixedCredential("h.example", ROBOT), insecure=False)  # type: ignore[arg-type]
    assert tokens.learn("h.example", (), ['Bearer realm="http://h.example/token"'])
    with pytest.raises(Unauthorized, match="which is not HTTPS"):
        await tokens.headers("h.example", ())
