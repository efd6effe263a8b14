"""What an object that is up to date costs its registry: one HEAD per tag and look, and one for all release records."""

import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.model.observed import Known
from controller.standalone.session import open_session
from tests.contract.released import TEMPLATES, VERSIONS, document_of, release
from tests.e2e.proxy import Proxy, before_tcp
from tests.parts.servers import free_port

LOOKS = 3


@pytest.fixture
def proxied(registry: str) -> Iterator[tuple[str, Proxy]]:
    """Another address of the registry, behind which what is asked is noted."""
    host, _, port = registry.partition(":")
    own = (host, free_port())
    with before_tcp((host, int(port)), own) as proxy:
        yield f"{host}:{own[1]}", proxy


async def test_an_idle_look_asks_for_each_tag_once_and_for_all_records_together(
    proxied: tuple[str, Proxy], engine: str, tmp_path: Path
) -> None:
    address, proxy = proxied
    prefix = f"t{secrets.token_hex(4)}"
    for version in VERSIONS:
        await release(f"{address}/{prefix}", version)
    document = document_of(tmp_path, repository=f"{address}/{prefix}", engine=engine)
    async with open_session(document, state=tmp_path / "state", secrets=None) as session:
        first = await session.world.observe(session.document, earlier=None)
        assert isinstance(first.records, Known)
        assert set(first.records.value) == set(VERSIONS)
        assert isinstance(first.images, Known)
        assert len(first.images.value) == 2 * len(TEMPLATES)
        proxy.asked.clear()
        for _ in range(LOOKS):
            assert (await session.world.observe(session.document, earlier=None)).images == first.images
    tags = [f"{name}/manifests/{tag}" for name in TEMPLATES for tag in ("latest", "0.1.2-x")]
    asked = [f"HEAD /v2/{prefix}/{path}" for path in (*tags, "artifacts/manifests/changed")]
    assert Counter(proxy.asked) == Counter(dict.fromkeys(asked, LOOKS))
