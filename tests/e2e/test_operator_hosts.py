"""A Docker host beside workloads: what it lacks, or says, is about its own containers; the workloads go on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.clients.kube import SECRETS, Place
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, condition, defined, is_current, operated, operator
from tests.parts.servers import free_port
from tests.parts.tls import Authority


@pytest.fixture
async def ground(cluster: Cluster, namespace: str, registry: str) -> AsyncIterator[Operated]:
    defined(cluster)
    async with operated(cluster, namespace, registry) as made:
        yield made


async def test_a_host_without_a_secret_or_without_an_answer_keeps_no_workload_waiting(
    cluster: Cluster, ground: Operated, tmp_path: Path
) -> None:
    where, at = ground.namespace, f"127.0.0.1:{free_port()}"
    host = {"name": "far", "endpoint": f"tcp://{at}", "tlsSecretName": "far"}
    targets = {"workloads": [{"name": "agents", "namespaces": [where]}], "dockerHosts": [host]}
    await ground.workload("ws-1")
    with operator(cluster, tmp_path, where, url=ground.node.url):
        await ground.make("0.1.1", targets=targets)
        await ground.until_runs(ws_1="0.1.1")
        field = "spec.targets.dockerHosts[0].tlsSecretName names Secret far"
        assert await _told(ground, "SecretNotFound") == (
            f"1 of 2 targets run 0.1.1; docker/far/* cannot be replaced: {field}, which is not in namespace {where}. Create it"
            f" there, with label runtime.molecule.ai/use=docker-host and annotation runtime.molecule.ai/hosts={at}."
        )
        authority = Authority()
        await ground.secret(
            "far",
            use="docker-host",
            hosts="other.example:2376",
            **authority.secret(authority.sign("operator")),
        )
        assert "which must not be sent to" in await _told(ground, "SecretNotAllowed")
        hosts = {"metadata": {"annotations": {"runtime.molecule.ai/hosts": at}}}
        await ground.client.merge(Place(SECRETS, where, "far"), hosts, manager="its-owner")
        assert await _told(ground, "Unknown") == (
            f"The targets in far cannot be read: Could not reach the engine at tcp://{at}: Connection refused"
        )
        await ground.edit(version="0.1.2")
        await ground.until_runs(ws_1="0.1.2")
        await ground.edit(targets={**targets, "dockerHosts": None})
        await ground.until_ready("0.1.2")


async def _told(ground: Operated, reason: str) -> str:
    """What Ready says once it has this reason."""
    state = await ground.until(
        lambda state: is_current(state) and condition(state, "Ready").get("reason") == reason, seconds=60
    )
    return str(condition(state, "Ready")["message"])
