"""Workloads of the stand-in runtime in pods of a real node, and whoever rolls them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from controller.act.roll_workload import roll
from controller.api.names import LABEL_MANAGED
from controller.clients.kube import DEPLOYMENTS, PODS, STATEFUL_SETS, KubeCluster
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.observed import Known
from controller.model.replacement import ReplaceResult
from controller.model.roll import RollOrder
from controller.model.workload import Pod, Workload, WorkloadKind
from tests.cluster.cluster import Cluster
from tests.parts.stand_in import StandIns

_SECONDS = 60.0


@dataclass(frozen=True)
class Shipped:
    """An image in the cluster's registry; `reference` is what a pod's `image` is."""

    reference: str
    version: str
    content_sha256: str

    @property
    def digest(self) -> str:
        """What its registry calls it."""
        return self.reference.rpartition("@")[2]


@dataclass(frozen=True)
class RealWorkloads:
    """A namespace of a real node, and our clients."""

    cluster: Cluster
    client: KubeCluster
    namespace: str
    stand_ins: StandIns
    engine: str
    workloads: KubeWorkloads
    workspaces: PodWorkspaces

    def ship(self, version: str, *, fault: str = "", mebibytes: int = 0) -> Shipped:
        """Push an image that no node has seen; `mebibytes` is how much of it nobody else has."""
        own = f"LABEL made={secrets.token_hex(8)}\n"
        if mebibytes:
            own += f"RUN head -c {mebibytes * 2**20} /dev/urandom > /var/own\n"
        image = self.stand_ins.image(version, fault=fault, extra=own)
        name = f"{self.namespace}/workspace:{version}"
        reference = self.cluster.push_from_engine(self.engine, image.reference, name)
        return Shipped(reference, version, image.content_sha256)

    async def make(self, kind: WorkloadKind, name: str, image: Shipped, **spec: Any) -> None:  # noqa: ANN401 -- any field of the spec
        """Create a workload of one pod, and wait until that is ready."""
        container = {
            "name": "workspace",
            "image": image.reference,
            "ports": [{"containerPort": 8000}],
            "volumeMounts": [{"name": "notes", "mountPath": "/notes"}],
        }
        volumes = [{"name": "notes", "emptyDir": {}}]
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], "volumes": volumes},
        }
        body = {
            "metadata": {"name": name, "labels": {LABEL_MANAGED: "true"}},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": template,
                **({"serviceName": name} if kind is WorkloadKind.STATEFUL_SET else {}),
                **spec,
            },
        }
        resource = DEPLOYMENTS if kind is WorkloadKind.DEPLOYMENT else STATEFUL_SETS
        await self.client.create(resource, self.namespace, body)
        await self.until_ready(kind, name)

    async def until_ready(self, kind: WorkloadKind, name: str) -> Pod:
        """Wait until the cluster says that all is as the template has it and its process answers, and return the pod."""
        async with asyncio.timeout(_SECONDS):
            while True:
                workload, pods = await self.seen(kind, name)
                if workload.rolled and len(pods) == 1 and pods[0].ready and not pods[0].deleting:
                    said = await self.workspaces.report(pods[0], container="workspace")
                    if isinstance(said, Known):
                        return pods[0]
                await asyncio.sleep(0.1)

    async def seen(self, kind: WorkloadKind, name: str) -> tuple[Workload, tuple[Pod, ...]]:
        """A workload and its pods as they are now."""
        workload = await self.workloads.read(kind, self.namespace, name)
        return workload, await self.workloads.pods(workload, "workspace")

    async def roll(self, kind: WorkloadKind, name: str, image: Shipped, **changes: Any) -> ReplaceResult:  # noqa: ANN401 -- any field of the order
        """Roll a workload to an image, in place where that may be."""
        order = RollOrder(
            owner=f"{self.namespace}/runtime",
            kind=kind,
            namespace=self.namespace,
            name=name,
            container="workspace",
            image=image.reference,
            version=image.version,
            content_sha256=image.content_sha256,
            digests=(image.digest,),
            drain_timeout_seconds=10.0,
            start_deadline_seconds=_SECONDS,
            in_place=True,
        )
        return await roll(self.workloads, self.workspaces, replace(order, **changes))

    async def pulls(self) -> list[str]:
        """The pods that are there only to pull an image."""
        async with asyncio.timeout(_SECONDS):
            while True:
                found = (await self.client.list(PODS, self.namespace)).items
                staying = [pod for pod in found if pod["metadata"]["name"].startswith("wsr-pull-")]
                if all("deletionTimestamp" not in pod["metadata"] for pod in staying):
                    return [pod["metadata"]["name"] for pod in staying]
                await asyncio.sleep(0.1)

    async def run(self, pod: Pod, *command: str) -> str:
        """Run a command in a pod, and return what it writes."""
        arguments = ("-n", self.namespace, "exec", pod.name, "--", *command)
        done = await asyncio.to_thread(self.cluster.kubectl, *arguments)
        return done.stdout.strip()


@asynccontextmanager
async def real_workloads(
    cluster: Cluster, namespace: str, stand_ins: StandIns, *, engine: str, url: str
) -> AsyncIterator[RealWorkloads]:
    """A namespace of a real node; `url` leads to its pods."""
    async with (
        KubeCluster(cluster.kubeconfig, context=cluster.context) as client,
        PodWorkspaces(client, url=url) as workspaces,
    ):
        workloads = KubeWorkloads(client)
        yield RealWorkloads(cluster, client, namespace, stand_ins, engine, workloads, workspaces)
