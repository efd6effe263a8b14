"""Fixtures of the tests that replace real containers."""

from collections.abc import AsyncIterator, Iterator

import docker
import pytest
import pytest_asyncio

from controller.clients.docker import DockerEngine
from tests.parts.stand_in import StandInImage, StandIns, stand_ins


@pytest.fixture(scope="session")
def images(engine: str, base_image: str) -> Iterator[StandIns]:
    """Images of the stand-in runtime, built on demand."""
    with stand_ins(engine, base_image) as built:
        yield built


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    """The SDK's own view of the engine, to look at what our client did."""
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


@pytest_asyncio.fixture
async def host(engine: str) -> AsyncIterator[DockerEngine]:
    """The engine through our client."""
    async with DockerEngine(engine) as opened:
        yield opened


@pytest.fixture
def old_image(images: StandIns) -> StandInImage:
    """What containers run."""
    return images.image("1.0.0")


@pytest.fixture
def new_image(images: StandIns) -> StandInImage:
    """What they get."""
    return images.image("2.0.0")
