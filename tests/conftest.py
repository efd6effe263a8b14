"""Fixtures that give tests the real parts; one that cannot be had fails the test."""

import re
import secrets
from collections.abc import Iterator

import pytest

from tests.parts.base_image import ensure_base_image
from tests.parts.engine import gateway, running_engine
from tests.parts.index import Index, running_devpi, running_pypiserver
from tests.parts.leftovers import remove_leftovers
from tests.parts.registry import running_registry

pytest_plugins = ["tests.suites", "tests.workers", "tests.cluster.fixtures"]


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Endpoint of a Docker Engine."""
    with running_engine() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def base_image(engine: str) -> str:
    """Reference of a slim Python 3.11 image in the engine."""
    return ensure_base_image(engine)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of an empty registry without passwords."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="session")
def pypiserver(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An empty index that serves nothing but uploads."""
    with running_pypiserver(tmp_path_factory.mktemp("pypiserver"), address=gateway(engine)) as index:
        yield index


@pytest.fixture(scope="session")
def devpi(engine: str) -> Iterator[Index]:
    """An empty index that also passes on the public one."""
    with running_devpi(address=gateway(engine)) as index:
        yield index


@pytest.fixture
def docker_prefix(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name prefix of this test's own; whatever carries it in the engine afterwards is removed."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    prefix = f"t{secrets.token_hex(3)}-{words[:20].strip('-')}-"
    try:
        yield prefix
    finally:
        remove_leftovers(engine, prefix)
