"""The OCI client against a registry whose answers are spoiled on the way."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import (
    Blob,
    Client,
    Corrupt,
    Credential,
    FixedCredential,
    Manifest,
    RateLimited,
    Reference,
    Refused,
    Unauthorized,
    Unavailable,
)
from builder.oci.tokens import Tokens
from tests.contract.lying_proxy import LyingProxy, lying_proxy

TYPE = "application/vnd.example.record.v1+json"
DATA = b'{"record": "' + b"x" * 2_000 + b'"}'


@pytest.fixture
async def proxy(registry: str) -> AsyncIterator[LyingProxy]:
    async with lying_proxy(registry) as proxy:
        yield proxy


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(insecure=True) as client:
        yield client


@pytest.fixture
async def stored(proxy: LyingProxy, client: Client) -> Manifest:
    reference = _reference(proxy)
    await client.put_artifact(reference, [Blob("application/json", DATA)], artifact_type=TYPE)
    manifest = await client.manifest(reference)
    proxy.seen.clear()
    return manifest


def _reference(proxy: LyingProxy) -> Reference:
    return Reference.parse(f"{proxy.address}/oci/faults:1")


def _with(
    answer: web.Response, *, status: int | None = None, body: bytes | None = None, **headers: str
) -> web.Response:
    names = {
        name: answer.headers[name]
        for name in ("Content-Type", "Docker-Content-Digest")
        if name in answer.headers
    }
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = answer.body if isinstance(answer.body, bytes) else b""
    return web.Response(
        status=status or answer.status, body=raw if body is None else body, headers=names | changed
    )


async def test_a_manifest_whose_bytes_were_changed_is_refused(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    changed = stored.raw.replace(b"}", b"} ", 1)
    proxy.spoil = lambda _, answer: _with(answer, body=changed)
    for reference in (_reference(proxy), _reference(proxy).at(stored.digest)):
        with pytest.raises(
            Corrupt, match=r"should have digest sha256:\w+ and has sha256:\w+. Its bytes were changed"
        ):
            await client.manifest(reference)


async def test_a_changed_manifest_with_a_matching_header_is_still_not_the_digest_asked_for(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    changed = stored.raw.replace(b"}", b"} ", 1)
    digest = Manifest.from_bytes(changed, stored.media_type, where="").digest
    proxy.spoil = lambda _, answer: _with(answer, body=changed, Docker_Content_Digest=digest)
    with pytest.raises(Corrupt):
        await client.manifest(_reference(proxy).at(stored.digest))
    with pytest.raises(Corrupt):
        await client.head(_reference(proxy).at(stored.digest))


async def test_a_blob_with_other_bytes_or_another_size_is_refused(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    for body, said in (
        (DATA.replace(b"x", b"y"), "should have digest"),
        (DATA[:-1], "bytes and has"),
        (DATA * 2, "more"),
    ):
        proxy.spoil = lambda _, answer, body=body: _with(answer, body=body)  # type: ignore[misc]
        with pytest.raises(Corrupt, match=said):
            await client.blob(_reference(proxy), stored.layers[0])


async def test_an_html_page_is_not_taken_for_a_manifest(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    page = b"<html>Welcome</html>"
    proxy.spoil = lambda _, __: web.Response(body=page, content_type="text/html")
    with pytest.raises(Corrupt, match=r"answered text/html that are no manifest.*not a proxy's error page"):
        await client.manifest(_reference(proxy))
    with pytest.raises(Corrupt, match="no list of tags"):
        await client.tags(_reference(proxy))


async def test_a_manifest_of_unknown_type_is_refused(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    unknown = json.dumps({"schemaVersion": 1, "mediaType": "application/vnd.unknown+json"}).encode()
    proxy.spoil = lambda _, __: web.Response(body=unknown, content_type="application/json")
    with pytest.raises(
        Corrupt, match=r"type 'application/vnd.unknown\+json', which is neither Docker v2 nor OCI"
    ):
        await client.manifest(_reference(proxy))


async def test_a_rate_limit_tells_how_long_to_wait(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    proxy.spoil = lambda _, answer: _with(answer, status=429, Retry_After="17")
    with pytest.raises(RateLimited, match="answered 429") as limited:
        await client.manifest(_reference(proxy))
    assert limited.value.retry_after == 17
    proxy.spoil = lambda _, answer: _with(answer, status=429, Retry_After="Fri, 01 Jan 1999 00:00:00 GMT")
    with pytest.raises(RateLimited) as limited:
        await client.head(_reference(proxy))
    assert limited.value.retry_after == 0


async def test_a_failing_registry_is_unavailable_and_its_page_is_not_quoted(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    proxy.spoil = lambda _, __: web.Response(
        status=503, body=b"<html>secret</html>", content_type="text/html"
    )
    with pytest.raises(Unavailable, match="answered 503 to GET") as failed:
        await client.manifest(_reference(proxy))
    assert "html" not in str(failed.value)


async def test_a_read_only_registry_is_a_refusal_with_its_own_words(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    said = json.dumps({"errors": [{"code": "UNSUPPORTED", "message": "read-only"}]}).encode()
    proxy.spoil = lambda _, __: web.Response(status=405, body=said, content_type="application/json")
    with pytest.raises(Refused, match=r"answered 405 UNSUPPORTED \(read-only\) to POST"):
        await client.upload(_reference(proxy), b"x", digest="sha256:" + "0" * 64)


async def test_a_connection_that_breaks_in_the_middle_of_a_blob_is_unavailable(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    proxy.spoil = lambda _, __: None
    with pytest.raises(Unavailable, match="broke at"):
        await client.blob(_reference(proxy), stored.layers[0])
    proxy.spoil = lambda _, answer: answer
    assert await client.blob(_reference(proxy), stored.layers[0]) == DATA


async def test_a_repository_without_digest_header_is_read_by_its_body(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    def drop(_: web.Request, answer: web.Response) -> web.Response:
        del answer.headers["Docker-Content-Digest"]
        return answer

    proxy.spoil = drop
    assert (await client.head(_reference(proxy))).digest == stored.digest


async def test_an_artifact_that_is_there_is_not_sent_again(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    await client.put_artifact(_reference(proxy), [Blob("application/json", DATA)], artifact_type=TYPE)
    assert not [request for request in proxy.seen if request.startswith("POST")]


async def test_bearer_tokens_are_fetched_once_per_scope_and_renewed_when_refused(
    proxy: LyingProxy, stored: Manifest
) -> None:
    """The proxy plays a token server in front of the registry, whose first token it stops taking."""
    tokens: list[str] = []
    asked: list[tuple[str, ...]] = []

    def guard(request: web.Request, answer: web.Response) -> web.Response:
        if request.path == "/token":
            assert request.headers["Authorization"].startswith("Basic ")
            tokens.append(f"token-{len(tokens)}")
            asked.append(tuple(request.query.getall("scope")))
            return web.json_response({"token": tokens[-1], "expires_in": 300})
        if (
            tokens
            and request.headers.get("Authorization") == f"Bearer {tokens[-1]}"
            and tokens[-1] not in expired
        ):
            return answer
        challenge = f'Bearer realm="http://{proxy.address}/token",service="tests",scope="ignored"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    expired: set[str] = set()
    proxy.spoil = guard
    async with Client(FixedCredential(proxy.address, Credential("robot", "word")), insecure=True) as client:
        await client.manifest(_reference(proxy))
        await client.head(_reference(proxy))
        assert tokens == ["token-0"]
        assert asked == [("repository:oci/faults:pull",)]
        expired.add("token-0")
        assert (await client.head(_reference(proxy))).digest == stored.digest
        assert tokens == ["token-0", "token-1"]


async def test_credentials_are_not_sent_to_a_token_server_without_tls() -> None:
    class Never:
        def __getattr__(self, name: str) -> object:
            raise AssertionError("something was sent")

    tokens = Tokens(Never(), FixedCredential("h.example", Credential("robot", "word")), insecure=False)  # type: ignore[arg-type]
    assert tokens.learn("h.example", (), ['Bearer realm="http://h.example/token"'])
    with pytest.raises(Unauthorized, match="which is not HTTPS"):
        await tokens.headers("h.example", ())


async def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Unavailable, match=r"ca.pem cannot be used"):
        async with Client(ca_file=tmp_path / "ca.pem"):
            pass
