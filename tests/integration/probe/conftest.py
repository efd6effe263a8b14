"""The candidate image of the probe's tests."""

import io
import secrets
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn

_DOCKERFILE = 'FROM {base}\nCOPY agent.py model_client.py /\nCMD ["python3", "-u", "/agent.py"]\n'


@pytest.fixture(scope="session")
def candidate(engine: str, base_image: str) -> Iterator[str]:
    """Id of an image whose process is `agent.py`."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for program in ("agent.py", "model_client.py"):
            tar.add(Path(__file__).with_name(program), program)
        file = _DOCKERFILE.format(base=base_image).encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(file)
        tar.addfile(entry, io.BytesIO(file))
    context.seek(0)
    name = f"wsr-probe-tests/agent:{secrets.token_hex(4)}"
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        image, _ = client.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
        yield str(image.id)
        client.images.remove(name, force=True)
    finally:
        client.close()


@pytest.fixture
async def docker_engine(engine: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(engine) as client:
        yield client


@pytest.fixture
def owner() -> str:
    """An object of this test's own, so that tests at the same time do not see each other's probes."""
    return f"test/{secrets.token_hex(4)}"


@pytest.fixture
def stand_in(docker_engine: DockerEngine, owner: str) -> StandIn:
    """The stand-in model of that object."""
    return StandIn(docker_engine, owner)
