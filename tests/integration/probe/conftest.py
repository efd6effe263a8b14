"""The candidate image of the probe's tests."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn
from tests.cluster.cluster import Cluster
from tests.integration.probe.pods import Images, Place, place_in
from tests.parts.build_context import build_context
from tests.parts.pod_proxy import pod_proxy
from tests.parts.stand_in_image import stand_in_image

_DOCKERFILE = (
    'FROM {base}\nCOPY agent.py model_client.py /\nVOLUME /kept\nCMD ["python3", "-u", "/agent.py"]\n'
)


@pytest.fixture(scope="session")
def candidate(engine: str, base_image: str) -> Iterator[str]:
    """Id of an image whose process is `agent.py`."""
    programs = {name: Path(__file__).with_name(name) for name in ("agent.py", "model_client.py")}
    context = build_context(_DOCKERFILE.format(base=base_image), programs)
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


@pytest.fixture(scope="session")
def images(cluster: Cluster, engine: str, base_image: str, candidate: str) -> Iterator[Images]:
    """The candidate and the stand-in in the cluster's registry."""
    tag = secrets.token_hex(4)
    with stand_in_image(engine, base_image) as model:
        yield Images(
            cluster.push_from_engine(engine, candidate, f"probe/agent:{tag}"),
            cluster.push_from_engine(engine, model, f"probe/model:{tag}"),
        )


@pytest.fixture(scope="session")
def way_to_pods(cluster: Cluster) -> Iterator[str]:
    """What WSR_WORKSPACE_URL is set to: the cluster's network is its own."""
    with pod_proxy(cluster) as url:
        yield url


@pytest.fixture
async def place(cluster: Cluster, namespace: str, images: Images, way_to_pods: str) -> AsyncIterator[Place]:
    """An object of a namespace that takes restricted pods only."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    async with place_in(cluster, namespace, images, way_to_pods) as made:
        yield made
