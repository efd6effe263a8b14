"""One object with a Deployment in its cluster and containers of another machine's engine: one edit reaches all of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from controller.model.record import Verdict
from controller.model.template_record import TemplateRecord
from tests.cluster.cluster import Cluster
from tests.contract.record_promises import NOON, record
from tests.contract.released import keep
from tests.e2e.operated import Operated, defined, eventually, operated, operator
from tests.parts.stand_in import StandIns, stand_ins
from tests.parts.tls_engine import TlsEngine, tls_engine

LABEL = {"molecule.platform.managed": "true"}
BUSY_SECONDS = 600
"""Longer than anything here takes: its work ends when the test says so."""


@dataclass
class Far:
    """The engine of another machine, and what its own people see there."""

    tls: TlsEngine
    client: docker.DockerClient

    def create(self, name: str, image: str) -> None:
        """Create a workspace as a platform does, from its image in the registry."""
        self.client.images.pull(image)
        self.client.containers.run(image, name=name, labels=LABEL, detach=True)

    def control(self, name: str, *words: str) -> None:
        """Tell a workspace something over its control socket."""
        code, said = self.client.containers.get(name).exec_run(["molecule-runtime", "ctl", *words])
        assert code == 0, said

    def version(self, name: str) -> str:
        """The version of what runs under a name."""
        image = self.client.containers.get(name).image
        assert image is not None
        labels: dict[str, str] = image.labels
        return labels["ai.molecule.runtime.version"]

    def started(self, name: str) -> datetime:
        """When what runs under a name was started."""
        told: str = self.client.containers.get(name).attrs["State"]["StartedAt"]
        return datetime.fromisoformat(told)


@pytest.fixture(scope="module")
def far(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with tls_engine(engine, tmp_path_factory.mktemp("far")) as made:
        client = docker.DockerClient(base_url=made.socket)
        try:
            yield Far(made, client)
        finally:
            for container in client.containers.list(all=True):
                container.remove(force=True)
            client.close()


@pytest.fixture(scope="module")
def images(engine: str, base_image: str) -> Iterator[StandIns]:
    with stand_ins(engine, base_image) as made:
        yield made


@pytest.fixture
async def ground(
    cluster: Cluster, namespace: str, registry: str, engine: str, images: StandIns
) -> AsyncIterator[Operated]:
    """An object whose versions are images of a runtime in small, in the registry."""
    here = docker.DockerClient(base_url=engine)

    def pushed(version: str, repository: str, *tags: str) -> tuple[str, str, str]:
        """What a registry and an engine call the image of a version, and the content of its runtime."""
        image = images.image(version)
        for tag in tags:
            here.images.get(image.id).tag(repository, tag)
            here.images.push(repository, tag)
        (digest,) = (
            name.partition("@")[2]
            for name in here.images.get(image.id).attrs["RepoDigests"]
            if name.startswith(f"{repository}@")
        )
        return digest, image.id, image.content_sha256

    async def release(repository: str, publisher: str, *, named: str) -> dict[str, str]:
        told = {}
        for version, *moving in (("0.1.1",), ("0.1.0", "latest")):
            where = f"{repository}/echo"
            digest, id_, content = await asyncio.to_thread(pushed, version, where, f"{version}-x", *moving)
            good = Verdict(value="Good", reason="UpToDate", time=NOON) if moving else None
            facts: dict[str, Any] = {"content_sha256": content, "published_time": NOON, "verdict": good}
            image = TemplateRecord(image=f"{where}:{version}-x", digest=digest, image_id=id_, proven=True)
            await keep(repository, record(version, publisher=publisher, **facts).with_template("echo", image))
            told[version] = f"{named}/echo:{version}-x@{digest}"
        return told

    defined(cluster)
    try:
        async with operated(cluster, namespace, registry, releasing=release) as made:
            yield made
    finally:
        here.close()


@pytest.mark.long
async def test_one_edit_rolls_workload_and_containers_the_busy_one_last_and_the_hosts_own_tag_follows(
    cluster: Cluster, ground: Operated, far: Far, tmp_path: Path
) -> None:
    where, authority = ground.namespace, far.tls.authority
    certificates = authority.secret(authority.sign("operator"))
    await ground.secret("far", use="docker-host", hosts=far.tls.address, **certificates)
    host = {
        "name": "far",
        "endpoint": far.tls.endpoint,
        "tlsSecretName": "far",
        "selector": {"matchLabels": LABEL},
    }
    targets = {"workloads": [{"name": "agents", "namespaces": [where]}], "dockerHosts": [host]}
    rollout = {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 120}}
    moving = f"{ground.repository}/echo:latest"
    await ground.workload("ws-1")
    for name in ("ws-idle", "ws-busy"):
        await asyncio.to_thread(far.create, name, moving)
    with operator(cluster, tmp_path, where, url=ground.node.url) as serving:
        await ground.make("0.1.0", targets=targets, rollout=rollout)
        state = await ground.until_ready("0.1.0")
        assert state["status"]["rollout"]["progress"] == "3/3"

        await asyncio.to_thread(far.control, "ws-busy", "busy", str(BUSY_SECONDS))
        await ground.edit(version="0.1.1")
        await ground.until_runs(ws_1="0.1.1")

        async def idle_one_runs() -> bool:
            with suppress(NotFound):  # its old container has gone, and the new one has not its name yet
                return await asyncio.to_thread(far.version, "ws-idle") == "0.1.1"
            return False

        await eventually(idle_one_runs, seconds=60)
        await asyncio.to_thread(serving.process.until, "docker/far/ws-busy: Drain")
        assert await asyncio.to_thread(far.version, "ws-busy") == "0.1.0"
        finished = datetime.now(UTC)
        await asyncio.to_thread(far.control, "ws-busy", "busy", "0")
        state = await ground.until_ready("0.1.1", seconds=60)
        assert state["status"]["rollout"]["progress"] == "3/3"
        assert await asyncio.to_thread(far.version, "ws-busy") == "0.1.1"
        assert await asyncio.to_thread(far.started, "ws-busy") > finished, "its work was not cut"
        assert {each.name for each in far.client.containers.list(all=True)} == {"ws-busy", "ws-idle"}
        served = await asyncio.to_thread(far.client.images.get, moving)
        assert served.labels["ai.molecule.runtime.version"] == "0.1.1", "new workspaces get it there, too"
        assert [line for line in serving.lines() if "error" in line] == []
