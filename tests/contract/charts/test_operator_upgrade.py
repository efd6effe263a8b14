"""`helm upgrade` with a new image of the operator in the middle of a rollout: the new pods go on where the old ones were."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from builder.oci import Client, Reference
from tests.cluster.cluster import Cluster
from tests.contract.charts.helm import OPERATOR
from tests.e2e.operated import Operated, defined, operated
from tests.parts.our_images import push_our_image
from tests.parts.played_node import TOKEN

NAME = "workspace-runtime-operator"
WORKSPACES = ("ws-1", "ws-2", "ws-3")
SECONDS = 120


async def another(image: str) -> str:
    """Push the image once more with a note in its manifest; its other digest."""
    reference = Reference.parse(image)
    async with Client(insecure=True) as client:
        there = await client.manifest(reference)
        document = {**json.loads(there.raw), "annotations": {"example.test/release": "next"}}
        raw = json.dumps(document).encode()
        repository = image.partition("@")[0]
        return await client.put_manifest(Reference.parse(f"{repository}:next"), raw, document["mediaType"])


def install(cluster: Cluster, ground: Operated, image: str, url: str) -> None:
    """Install the chart, or upgrade its release; returns when all replicas are of this image."""
    repository, _, digest = image.partition("@")
    values = {
        "image": {"repository": repository, "digest": digest},
        "rbac": {"clusterWide": False},
        "workspaceUrl": url,
    }
    release = ("upgrade", "--install", "workspace-runtime", str(OPERATOR), "-n", ground.namespace)
    cluster.helm(*release, "--wait", "--timeout=100s", "-f", "-", stdin=json.dumps(values))


def operators(cluster: Cluster, namespace: str) -> set[str]:
    """The digests that the operator's pods run."""
    selector = f"app.kubernetes.io/name={NAME}"
    found = cluster.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json").stdout
    return {
        pod["spec"]["containers"][0]["image"].partition("@")[2]
        for pod in json.loads(found)["items"]
        if "deletionTimestamp" not in pod["metadata"]
    }


@pytest.mark.long
async def test_an_upgrade_in_the_middle_of_a_rollout_goes_on_and_repeats_nothing(
    cluster: Cluster, namespace: str
) -> None:
    defined(cluster)
    old = await asyncio.to_thread(push_our_image, NAME, cluster.registry)
    new = f"{old.partition('@')[0]}@{await another(old)}"
    async with operated(cluster, namespace, cluster.registry, inside=cluster.registry_inside) as ground:
        at = urlsplit(ground.node.url)
        with cluster.exposed(at.netloc) as exposed:
            url = f"http://{exposed}/{{namespace}}/{{pod}}"
            await asyncio.to_thread(install, cluster, ground, old, url)
            for name in WORKSPACES:
                await ground.workload(name)
            await ground.secret("control", use="control", hosts=f"{namespace}.pod", token=TOKEN)
            entry = {"name": "agents", "namespaces": [namespace], "controlTokenSecretName": "control"}
            rollout = {"maxUnavailable": 1, "drain": {"timeoutSeconds": 300}}
            await ground.make("0.1.0", targets={"workloads": [entry]}, rollout=rollout)
            await ground.until_ready("0.1.0", seconds=SECONDS)

            ground.node.busy.add("ws-")
            await ground.edit(version="0.1.1")
            async with asyncio.timeout(SECONDS):
                while not any(word.startswith("drain ") for word in ground.node.told):  # noqa: ASYNC110 -- no event tells
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(install, cluster, ground, new, url)
            assert await asyncio.to_thread(operators, cluster, namespace) == {new.partition("@")[2]}
            running = await ground.images()
            assert {running[name] for name in WORKSPACES} == {"0.1.0"}, "work in progress was not cut"
            ground.node.busy.clear()
            await ground.until_ready("0.1.1", seconds=SECONDS)
            started = [pod for pod, image in ground.node.pods.items() if image.version == "0.1.1"]
            assert len(started) == len(WORKSPACES), "each workload was given the image once"
            await asyncio.to_thread(cluster.helm, "uninstall", "workspace-runtime", "-n", namespace, "--wait")
