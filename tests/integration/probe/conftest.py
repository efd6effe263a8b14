"""The candidate image of the probe's tests."""

import io
import secrets
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from controller.clients.docker import DockerEngine

_DOCKERFILE = 'FROM {base}\nCOPY agent.py /agent.py\nCMD ["python3", "-u", "/agent.py"]\n'


@pytest.fixture(scope="session")
def candidate(engine: str, base_image: str) -> Iterator[str]:
    """Id of an image whose process is `agent.py`."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(Path(__file__).with_name("agent.py"), "agent.py")
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
