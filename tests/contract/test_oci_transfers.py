"""Blobs on connections that break: what arrived is not sent again, and nothing is left half-written."""

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import Client, Corrupt, Descriptor, Disconnected, Reference, sha256_digest
from tests.contract.lying_proxy import LyingProxy, lying_proxy
from tests.parts.registry import running_second_registry

CHUNK = 100_000
DATA = os.urandom(10 * CHUNK + 1)
DIGEST = sha256_digest(DATA)
DESCRIPTOR = Descriptor.of("application/octet-stream", DATA)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_second_registry(tmp_path_factory.mktemp("second")) as address:
        yield address


@pytest.fixture(params=["docker-registry", "another implementation"])
async def proxy(request: pytest.FixtureRequest) -> AsyncIterator[LyingProxy]:
    first = request.param == "docker-registry"
    async with lying_proxy(request.getfixturevalue("registry" if first else "second")) as proxy:
        yield proxy


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(insecure=True, chunk_bytes=CHUNK) as client:
        yield client


@pytest.fixture
def repository(proxy: LyingProxy, tmp_path: Path) -> Reference:
    return Reference.parse(f"{proxy.address}/transfers/{tmp_path.name.replace('_', '-').lower()}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "blob"
    file.write_bytes(DATA)
    return file


async def test_a_large_file_goes_up_in_chunks(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    await client.upload(repository, file, digest=DIGEST)
    assert (len(proxy.requests("PATCH")), proxy.sent_bytes) == (11, len(DATA))
    assert await client.blob(repository, DESCRIPTOR) == DATA


async def test_a_connection_that_breaks_between_chunks_costs_none_of_them(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    turns = itertools.count()
    proxy.cut = lambda request: 0 if request.method == "PATCH" and next(turns) == 4 else None
    await client.upload(repository, file, digest=DIGEST)
    assert proxy.sent_bytes == len(DATA)
    assert len(proxy.requests("POST")) == 1
    proxy.cut = lambda _: None
    assert await client.blob(repository, DESCRIPTOR) == DATA


async def test_a_chunk_that_arrived_in_part_is_gone_on_with_where_the_registry_can(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path, request: pytest.FixtureRequest
) -> None:
    turns = itertools.count()
    proxy.cut = lambda request: 30_000 if request.method == "PATCH" and next(turns) == 4 else None
    await client.upload(repository, file, digest=DIGEST)
    if "docker-registry" in request.node.name:  # gives such an upload up: it is begun anew
        assert (len(proxy.requests("POST")), proxy.sent_bytes) == (2, len(DATA) + 4 * CHUNK + 30_000)
    else:
        assert (len(proxy.requests("POST")), proxy.sent_bytes) == (1, len(DATA))
    proxy.cut = lambda _: None
    assert await client.blob(repository, DESCRIPTOR) == DATA


async def test_an_upload_in_one_piece_that_breaks_is_begun_anew(
    proxy: LyingProxy, client: Client, repository: Reference
) -> None:
    small = DATA[:CHUNK]
    turns = itertools.count()
    proxy.cut = lambda request: 10 if request.method == "PUT" and next(turns) == 0 else None
    await client.upload(repository, small, digest=sha256_digest(small))
    assert (len(proxy.requests("POST")), proxy.sent_bytes) == (2, CHUNK + 10)
    assert await client.has_blob(repository, sha256_digest(small))


async def test_a_lost_last_answer_sends_nothing_again(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    proxy.spoil = lambda request, answer: None if request.method == "PUT" else answer
    await client.upload(repository, file, digest=DIGEST)
    assert proxy.sent_bytes == len(DATA)
    await client.upload(repository, DATA[:10], digest=sha256_digest(DATA[:10]))
    assert proxy.sent_bytes == len(DATA) + 10


async def test_an_upload_that_keeps_breaking_ends_after_a_few_tries_and_leaves_nothing(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    proxy.cut = lambda request: 0 if request.method == "PATCH" else None
    with pytest.raises(Disconnected) as failed:
        await client.upload(repository, file, digest=DIGEST)
    assert str(failed.value) == (
        f"The registry {proxy.address} cannot be reached for {repository.name}@{DIGEST}: Server disconnected."
    ) or str(failed.value).startswith(
        f"The registry {proxy.address} cannot be reached for {repository.name}@"
    )
    assert "://" not in str(failed.value)
    assert len(proxy.requests("PATCH")) == 4
    assert len(proxy.requests("DELETE")) == 1
    assert not await client.has_blob(repository, DIGEST)


async def test_an_upload_that_is_ended_gives_its_session_back(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    begun = asyncio.Event()
    proxy.cut = lambda request: begun.set() if request.method == "PATCH" else None
    upload = asyncio.create_task(client.upload(repository, file, digest=DIGEST))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert len(proxy.requests("DELETE")) == 1


async def test_a_download_that_breaks_goes_on_where_it_broke(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path, tmp_path: Path
) -> None:
    await client.upload(repository, file, digest=DIGEST)
    ranges: list[str] = []

    def break_twice(request: web.Request, answer: web.Response) -> web.Response | None:
        ranges.append(request.headers.get("Range", ""))
        return None if len(ranges) < 3 else answer

    proxy.spoil = break_twice
    with (tmp_path / "down").open("wb") as down:
        await client.download(repository, DESCRIPTOR, down)
    assert (tmp_path / "down").read_bytes() == DATA
    assert ranges[0] == ""
    starts = [int(re.fullmatch(r"bytes=([0-9]+)-", each)[1]) for each in ranges[1:]]  # type: ignore[index]
    assert 0 < starts[0] < starts[1] < len(DATA)


async def test_a_download_goes_on_where_ranges_are_not_known_too(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    await client.upload(repository, file, digest=DIGEST)
    turns = itertools.count()

    proxy.spoil = lambda _, __: None if next(turns) == 0 else web.Response(body=DATA)
    assert await client.blob(repository, DESCRIPTOR) == DATA


async def test_another_part_than_the_one_asked_for_is_refused(
    proxy: LyingProxy, client: Client, repository: Reference, file: Path
) -> None:
    await client.upload(repository, file, digest=DIGEST)
    turns = itertools.count()

    def elsewhere(_: web.Request, answer: web.Response) -> web.Response | None:
        if next(turns):
            answer.headers["Content-Range"] = f"bytes 5-{len(DATA) - 1}/{len(DATA)}"
            return answer
        return None

    proxy.spoil = elsewhere
    with pytest.raises(Corrupt) as refused:
        await client.blob(repository, DESCRIPTOR)
    assert (
        str(refused.value)
        == f"{proxy.address} answered another part of {repository.name}@{DIGEST} than the one asked for."
    )
