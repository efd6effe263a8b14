"""Workloads of a namespace as their owners make them, and the ways to look at them and to roll them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from controller.act.roll_workload import roll
from controller.api.names import LABEL_MANAGED, NAMESPACE_ALLOWED_FROM
from controller.api.v1alpha1 import Drain
from controller.clients.kube import DEPLOYMENTS, NAMESPACES, STATEFUL_SETS, JsonObject, KubeCluster, Place
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.replacement import ReplaceResult
from controller.model.roll import RollOrder
from controller.model.target import Target
from controller.model.workload import WorkloadKind
from controller.observe.workloads import Asked, observe
from tests.parts.played_node import SCHEDULER, TOKEN, PlayedImage, PlayedNode, played_node

REPOSITORY: Final = "registry.example/echo"
CONTENT: Final = "c" * 64


def reference(version: str) -> str:
    """The image of a version, as the system writes it."""
    return f"{REPOSITORY}:{version}-abc1234-01234567@{digest(version)}"


def digest(version: str) -> str:
    """Its digest."""
    return "sha256:" + version.encode().hex().ljust(64, "0")


@dataclass
class Ground:
    """One namespace, its node, and our clients."""

    cluster: KubeCluster
    namespace: str
    node: PlayedNode
    workloads: KubeWorkloads
    workspaces: PodWorkspaces

    @property
    def owner(self) -> str:
        """The object that rolls here."""
        return f"{self.namespace}/molecule-runtime"

    def manifest(
        self,
        name: str = "ws-1",
        *,
        kind: WorkloadKind = WorkloadKind.DEPLOYMENT,
        image: str | None = None,
        replicas: int = 1,
        container: str = "workspace",
        **spec: Any,  # noqa: ANN401 -- any field of the spec
    ) -> JsonObject:
        """What an owner writes who consents; `spec` is what else stands there."""
        pod = {
            "schedulerName": SCHEDULER,
            "terminationGracePeriodSeconds": 900,
            "containers": [{"name": container, "image": image or reference("0.1.5")}],
        }
        recreate = (
            {"strategy": {"type": "Recreate"}} if kind is WorkloadKind.DEPLOYMENT else {"serviceName": name}
        )
        return {
            "apiVersion": "apps/v1",
            "kind": str(kind),
            "metadata": {"name": name, "namespace": self.namespace, "labels": {LABEL_MANAGED: "true"}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
                **recreate,
                **spec,
            },
        }

    async def make(self, manifest: JsonObject) -> None:
        """Create a workload and wait until its pods run."""
        kind = WorkloadKind(manifest["kind"])
        resource = DEPLOYMENTS if kind is WorkloadKind.DEPLOYMENT else STATEFUL_SETS
        await self.cluster.create(resource, self.namespace, manifest)
        await self.until(lambda target: target.running_pods == manifest["spec"]["replicas"], kind, manifest)

    async def until(
        self, holds: Callable[[_Seen], bool], kind: WorkloadKind, manifest: JsonObject, *, seconds: float = 20
    ) -> None:
        """Wait until something is so of a workload."""
        name = manifest["metadata"]["name"]
        async with asyncio.timeout(seconds):
            while True:
                workload = await self.workloads.read(kind, self.namespace, name)
                pods = await self.workloads.pods(workload, "workspace")
                if holds(
                    _Seen(sum(1 for pod in pods if pod.running), workload.container("workspace") is not None)
                ):
                    return
                await asyncio.sleep(0.1)

    async def targets(self, *, settled: Collection[str] = (), **changes: Any) -> tuple[Target, ...]:  # noqa: ANN401 -- any field of `Asked`
        """The targets as the planner sees them."""
        asked = Asked(
            owner=self.owner,
            edit="one",
            container="workspace",
            selector={},
            templates={"echo": REPOSITORY},
            drain=Drain(),
        )
        asked = replace(asked, **changes)
        return await observe(self.workloads, self.workspaces, self.namespace, asked, settled=settled)

    async def target(self, *, settled: Collection[str] = (), **changes: Any) -> Target:  # noqa: ANN401 -- any field of `Asked`
        """The only target."""
        (only,) = await self.targets(settled=settled, **changes)
        return only

    def order(self, version: str = "0.1.6", **changes: Any) -> RollOrder:  # noqa: ANN401 -- any field of the order
        """Roll `ws-1` to a version."""
        order = RollOrder(
            owner=self.owner,
            kind=WorkloadKind.DEPLOYMENT,
            namespace=self.namespace,
            name="ws-1",
            container="workspace",
            image=reference(version),
            version=version,
            content_sha256=CONTENT,
            digests=(digest(version),),
            token=TOKEN,
            drain_timeout_seconds=2.0,
            start_deadline_seconds=6.0,
            edit="one",
        )
        return replace(order, **changes)

    async def roll(self, version: str = "0.1.6", **changes: Any) -> ReplaceResult:  # noqa: ANN401 -- any field of the order
        """Roll it now."""
        return await roll(self.workloads, self.workspaces, self.order(version, **changes))

    def ship(self, version: str, **changes: Any) -> None:  # noqa: ANN401 -- any field of the image
        """Have the node know the image of a version."""
        self.node.images[digest(version)] = PlayedImage(version, CONTENT, **changes)


@dataclass(frozen=True)
class _Seen:
    running_pods: int
    has_container: bool


@asynccontextmanager
async def ground(kubeconfig: Path, context: str, namespace: str) -> AsyncIterator[Ground]:
    """A namespace where its own objects may roll, with images of 0.1.5 and 0.1.6."""
    async with KubeCluster(kubeconfig, context=context) as cluster, played_node(cluster, namespace) as node:
        labels = {"metadata": {"labels": {NAMESPACE_ALLOWED_FROM: namespace}}}
        await cluster.merge(Place(NAMESPACES, None, namespace), labels, manager="tests")
        async with PodWorkspaces(cluster, url=node.url) as workspaces:
            made = Ground(cluster, namespace, node, KubeWorkloads(cluster), workspaces)
            made.ship("0.1.5")
            made.ship("0.1.6")
            yield made
