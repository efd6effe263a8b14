"""The OCI client against a registry whose answers are spoiled on the way."""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import (
    Blob,
    Client,
    Corrupt,
    Manifest,
    ReadOnly,
    Reference,
    Refused,
    Unauthorized,
    Unavailable,
    sha256_digest,
)
from tests.contract.lying_proxy import LyingProxy, lying_proxy
from tests.parts.registry import running_registry

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
        file = io.BytesIO()
        with pytest.raises(Corrupt, match=said):
            await client.download(_reference(proxy), stored.layers[0], file)
        assert file.tell() <= stored.layers[0].size, "a registry that never ends fills no disk"


async def test_an_html_page_is_taken_for_nothing_that_was_asked_for(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    page = b"<html>Please log in</html>"
    proxy.spoil = lambda _, __: web.Response(status=200, body=page, content_type="text/html")
    reference, layer = _reference(proxy), stored.layers[0]
    blob = f"{reference.name}@{layer.digest}"
    new = f"{reference.name}@{sha256_digest(b'new')}"
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        f"GET {reference}": lambda: client.manifest(reference),
        f"HEAD {reference}": lambda: client.head(reference),
        f"GET the tags of {reference.name}": lambda: client.tags(reference),
        f"GET {blob}": lambda: client.blob(reference, layer),
        f"HEAD {blob}": lambda: client.has_blob(reference, layer.digest),
        f"POST {new}": lambda: client.upload(reference, b"new", digest=sha256_digest(b"new")),
        f"POST {blob}": lambda: client.mount(reference.at("2"), layer.digest, reference),
        f"PUT {reference}": lambda: client.put_manifest(reference, stored.raw, stored.media_type),
        f"DELETE {reference.name}@{stored.digest}": lambda: client.delete(reference, stored.digest),
    }
    for what, ask in asked.items():
        with pytest.raises(Corrupt) as refused:
            await ask()
        assert str(refused.value) == (
            f"{proxy.address} answered 200 with an HTML page to {what}. "
            "Check that the address is a registry, and not a proxy or a login page before it."
        )


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


async def test_a_failing_registry_is_unavailable_and_its_page_is_not_quoted(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    proxy.spoil = lambda _, __: web.Response(
        status=503, body=b"<html>secret</html>", content_type="text/html"
    )
    with pytest.raises(Unavailable, match="answered 503") as failed:
        await client.manifest(_reference(proxy))
    assert str(failed.value) == f"{proxy.address} answered 503 with an HTML page to GET {_reference(proxy)}."


async def test_a_read_only_registry_is_a_refusal_that_says_so(tmp_path: Path) -> None:
    """A real one, in docker-registry's maintenance mode: it still lets everybody read."""
    with running_registry(tmp_path) as address:
        reference = Reference.parse(f"{address}/oci/kept:1")
        async with Client(insecure=True) as client:
            await client.put_artifact(reference, [Blob("application/json", DATA)], artifact_type=TYPE)
            digest = (await client.head(reference)).digest
    with running_registry(tmp_path, read_only=True) as address:
        reference, other = (Reference.parse(f"{address}/oci/{name}:1") for name in ("kept", "other"))
        async with Client(insecure=True) as client:
            manifest = await client.manifest(reference)
            assert manifest.digest == digest
            with pytest.raises(ReadOnly) as refused:
                await client.upload(other, b"x", digest=sha256_digest(b"x"))
            assert str(refused.value) == (
                f"{address} answered 405 to POST {other.name}@{sha256_digest(b'x')}. "
                "It takes no writes: end its read-only mode, or name another registry."
            )
            with pytest.raises(ReadOnly, match=r"answered 405 to PUT .* It takes no writes"):
                await client.put_manifest(other, manifest.raw, manifest.media_type)
            assert not await client.mount(other, manifest.layers[0].digest, reference)
            with pytest.raises(Refused, match="It does not allow deletion, or is read-only: allow it there"):
                await client.delete(reference, digest)


async def test_a_registry_that_forbids_a_write_says_whose_right_is_missing(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    del stored
    said = json.dumps({"errors": [{"code": "DENIED", "message": "archived"}]}).encode()
    proxy.spoil = lambda _, __: web.Response(status=403, body=said, content_type="application/json")
    with pytest.raises(Unauthorized) as refused:
        await client.upload(_reference(proxy), b"x", digest=sha256_digest(b"x"))
    assert str(refused.value) == (
        f"{proxy.address} answered 403 DENIED (archived) to POST {_reference(proxy).name}@{sha256_digest(b'x')}. "
        f"The credentials for {proxy.address} are missing, wrong or not allowed to do this."
    )


async def test_a_full_registry_is_said_to_be_full_and_holds_nothing_of_what_did_not_fit(
    tmp_path: Path,
) -> None:
    """A real one, on a disk of half a megabyte."""
    data = bytes(2_000_000)
    with running_registry(tmp_path, disk_bytes=1 << 19) as address:
        repository = Reference.parse(f"{address}/oci/large")
        async with Client(insecure=True) as client:
            with pytest.raises(Unavailable) as full:
                await client.upload(repository, data, digest=sha256_digest(data))
            assert str(full.value) == (
                f"{address} is full: it answered 500 UNKNOWN (unknown error) to PUT "
                f"{repository.name}@{sha256_digest(data)}. Free space there."
            )
            assert not await client.has_blob(repository, sha256_digest(data))


async def test_other_words_for_a_full_registry_are_understood(proxy: LyingProxy, client: Client) -> None:
    for status, body in (
        (507, b""),
        (500, b'{"errors": [{"code": "X", "message": "No space left on device"}]}'),
    ):
        proxy.spoil = lambda _, __, status=status, body=body: web.Response(status=status, body=body)  # type: ignore[misc]
        with pytest.raises(Unavailable, match=r"is full: it answered 50[07].* to POST .*Free space there"):
            await client.upload(_reference(proxy), b"x", digest=sha256_digest(b"x"))


async def test_a_manifest_that_is_image_and_index_in_one_is_refused(
    proxy: LyingProxy, client: Client, stored: Manifest
) -> None:
    both = json.dumps({**stored.document, "manifests": []}).encode()
    proxy.spoil = lambda _, __: web.Response(body=both, content_type=stored.media_type)
    with pytest.raises(Corrupt) as refused:
        await client.manifest(_reference(proxy))
    assert str(refused.value) == (
        f"{_reference(proxy)} answered a manifest that is an image and an index in one. It is not used."
    )


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


async def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Unavailable, match=r"ca.pem cannot be used"):
        async with Client(ca_file=tmp_path / "ca.pem"):
            pass
