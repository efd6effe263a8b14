"""Scenes for tests of the whole chain."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, defined, operated, operator
from tests.e2e.scene import Release, Scene, and_then, from_nothing, kept
from tests.parts.engine import OwnEngine, own_engine


@pytest.fixture(scope="session")
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


@pytest.fixture(scope="module")
def second_engine(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnEngine]:
    """An engine of this module's own, on a bridge that the first engine made, which keeps off the packet filter."""
    bridge = f"wsr{secrets.token_hex(3)}"
    network = client.networks.create(bridge, options={"com.docker.network.bridge.name": bridge})
    run = Path(f"/run/ws-e2e-{os.getpid()}")
    options = (f"--bridge={bridge}", "--iptables=false", "--ip6tables=false")
    own = OwnEngine(tmp_path_factory.mktemp("engine"), run, options=options)
    try:
        with own_engine(own):
            yield own
    finally:
        shutil.rmtree(run, ignore_errors=True)
        network.remove()


@pytest.fixture
async def ground(cluster: Cluster, namespace: str, registry: str) -> AsyncIterator[Operated]:
    """An object's namespace in a cluster whose versions are released; no operator yet."""
    defined(cluster)
    async with operated(cluster, namespace, registry) as made:
        yield made


@pytest.fixture
def serving(cluster: Cluster, ground: Operated, tmp_path: Path) -> Iterator[Operator]:
    """An operator for that namespace alone."""
    with operator(cluster, tmp_path, ground.namespace, url=ground.node.url) as process:
        yield process


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "releases"


@pytest.fixture(scope="session")
def first_release(
    engine: str, client: docker.DockerClient, base_image: str, releases: Path
) -> Iterator[Release]:
    def make(folder: Path) -> Release:
        return from_nothing(client, engine=engine, base_image=base_image, folder=folder)

    with kept(releases, engine, client, make) as release:
        yield release


@pytest.fixture(scope="session")
def second_release(first_release: Release, releases: Path) -> Iterator[Release]:
    def make(folder: Path) -> Release:
        return and_then(first_release, "0.1.1", folder)

    with kept(releases / "made" / "second", first_release.engine, first_release.client, make) as release:
        yield release


@pytest.fixture
def scene(first_release: Release, tmp_path: Path) -> Iterator[Scene]:
    """0.1.0 is released; nothing runs yet."""
    with first_release.copied(tmp_path) as scene:
        yield scene


@pytest.fixture
def rollout(second_release: Release, tmp_path: Path) -> Iterator[Scene]:
    """0.1.0 and 0.1.1 are released and 0.1.1 is asked for; nothing runs yet, so that only rolling is left to do."""
    with second_release.copied(tmp_path) as scene:
        yield scene
