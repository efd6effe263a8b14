"""`wsr image` names an image that is there: it looks where the images are, and says so where it cannot."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import Client, Reference
from controller.cli._image import image_of
from controller.model.errors import Terminal, Transient
from tests.contract.lying_proxy import LyingProxy, lying_proxy
from tests.contract.released import VERSIONS, document_of, release


@pytest.fixture
async def proxy(registry: str) -> AsyncIterator[LyingProxy]:
    """A proxy before the registry."""
    async with lying_proxy(registry) as proxy:
        yield proxy


@pytest.fixture
async def place(proxy: LyingProxy, engine: str, tmp_path: Path) -> tuple[Path, str]:
    """The document of released versions, and the repository of its first template."""
    repository = f"{proxy.address}/t{secrets.token_hex(4)}"
    for version in VERSIONS:
        await release(repository, version)
    return document_of(tmp_path, repository=repository, engine=engine), f"{repository}/echo"


async def asked(file: Path) -> str:
    return await asyncio.to_thread(image_of, "echo", file, state=file.parent / "state", secrets=None)


async def delete(image: str) -> str:
    """Delete an image with all its tags; its digest."""
    async with Client(insecure=True) as client:
        digest = (await client.head(Reference.parse(image))).digest
        await client.delete(Reference.parse(image), digest)
    return digest


async def test_an_image_that_was_deleted_is_not_named_and_the_last_good_one_that_is_there_is(
    place: tuple[Path, str],
) -> None:
    file, repository = place
    assert await asked(file) == f"{repository}:0.1.2-x"
    newest = await delete(f"{repository}:0.1.2-x")
    assert await asked(file) == f"{repository}:0.1.1-x"
    await delete(f"{repository}:0.1.1-x")
    assert await asked(file) == f"{repository}:0.1.0-x"
    await delete(f"{repository}:0.1.0-x")
    with pytest.raises(Terminal) as gone:
        await asked(file)
    assert str(gone.value) == (
        f"Every released image of template echo was deleted: {repository}:0.1.2-x@{newest} (and 2 more)."
        f" Run: wsr run -f {file} --once"
    )


async def test_an_image_of_which_nothing_is_told_is_not_named(
    place: tuple[Path, str], proxy: LyingProxy
) -> None:
    file, repository = place
    proxy.refuse = lambda request: web.Response(status=403) if "/echo/manifests/" in request.path else None
    with pytest.raises(Transient) as unknown:
        await asked(file)
    assert str(unknown.value).startswith(f"It cannot be told whether {repository}:0.1.2-x is still there: ")
