"""A thousand StatefulSets under the limits that Kubernetes gives its controllers: their images changed in place, against by their controllers."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from controller.api.names import LABEL_MANAGED, NAMESPACE_ALLOWED_FROM
from controller.clients.kube import NAMESPACES, PODS, STATEFUL_SETS, JsonObject, KubeCluster, Listed, Place
from controller.clients.kube_follow import follow
from tests.bench.figures import Figure
from tests.bench.fleet import runtimes
from tests.bench.fleet_runtimes import TOKEN
from tests.bench.site import say
from tests.cluster.cluster import Cluster, own_cluster
from tests.cluster.fake_nodes import ON_FAKE_NODES, fake_nodes
from tests.cluster.place import GATEWAY
from tests.e2e.operated import VERSIONS, Operated, defined, hearing, operator, release
from tests.parts.played_node import PlayedNode

_NAMESPACE = "ours"
_AT_ONCE = 32
_PATIENCE_SECONDS = 1800.0
_QUIET_SECONDS = 3.0
_FEW = 10
"""Writes in that time that count as none."""
_WRITES = re.compile(
    r'^apiserver_request_total\{(?=.*verb="(?:POST|PUT|PATCH|APPLY|DELETE)")(?=.*resource="(?P<resource>[^"]*)").*\} (?P<count>\S+)$',
    re.MULTILINE,
)
_NOT_COUNTED = frozenset({"leases", "events", "nodes", "subjectaccessreviews", "tokenreviews"})


@dataclass(frozen=True)
class Scale:
    """How much is measured, and how long a node takes for a container whose image is changed."""

    workspaces: int = 1000
    nodes: int = 20
    restart_seconds: float = 1.0


@dataclass(frozen=True)
class _Roll:
    """What one roll of the fleet took: until all ran the version, until the object was Ready, and writes of all clients."""

    runs_seconds: float
    ready_seconds: float
    writes: float


def measured(scale: Scale, folder: Path) -> list[Figure]:
    """Measure both ways on a cluster of their own, of which nothing is left."""
    with own_cluster() as cluster, fake_nodes(cluster, scale.nodes, restart_seconds=scale.restart_seconds):
        defined(cluster)
        cluster.kubectl("create", "namespace", _NAMESPACE)
        cluster.kubectl("-n", _NAMESPACE, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        with cluster.entered():
            in_place, by_controllers = asyncio.run(_Fleet(cluster, scale, folder).seen())
    each = scale.workspaces
    what = (
        f"{each} StatefulSets of one pod on {scale.nodes} nodes of kwok, one real control plane with the limits that Kubernetes"
        f" gives its controllers; simulated: a kwok stage ends a container whose image is changed and starts it {scale.restart_seconds:g} s"
        " later, as measured on the real node, while a pod that is made anew runs at once; drained and proven over HTTP, maxUnavailable 100 %"
    )
    rows = {"in place": in_place, "by their controllers (RollingUpdate)": by_controllers}
    told = "; ".join(
        f"{name}: {roll.writes / each:.1f} writes per workspace, {roll.runs_seconds:.0f} s until all run it, Ready after {roll.ready_seconds:.0f} s"
        for name, roll in rows.items()
    )
    return [
        Figure.times_faster("inplace.ratio", [in_place.runs_seconds], [by_controllers.runs_seconds], how=f"an edit of the version until the last pod runs it, in place against by the controllers, once each; {told}; {what}"),
        Figure("inplace.writes", round(in_place.writes / each, 1), "each", f"writes of all clients to the API server per workspace in place (Leases and events left out), against {by_controllers.writes / each:.1f}; {what}", (in_place.writes,), (by_controllers.writes,)),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Fleet:
    cluster: Cluster
    scale: Scale
    folder: Path

    async def seen(self) -> tuple[_Roll, _Roll]:
        repository = f"{self.cluster.registry_inside}/inplace"
        images = await release(repository, f"{_NAMESPACE}/runtime", named=repository)
        async with KubeCluster(self.cluster.own.kubeconfig("admin")) as client:
            ground = Operated(client, _NAMESPACE, PlayedNode(client, _NAMESPACE), repository, images)
            label = {"metadata": {"labels": {NAMESPACE_ALLOWED_FROM: _NAMESPACE}}}
            await client.merge(Place(NAMESPACES, None, _NAMESPACE), label, manager="bench")
            await ground.secret("control", use="control", hosts=f"{_NAMESPACE}.pod", token=TOKEN)
            with ExitStack() as stack:
                url = stack.enter_context(
                    runtimes(self.cluster, self.folder / "runtimes.log", images, _NAMESPACE)
                )
                first = images[VERSIONS[0]]
                await self._all(
                    lambda name: client.create(STATEFUL_SETS, _NAMESPACE, _workspace(name, first))
                )
                await self._settled(client)
                started = operator(
                    self.cluster, self.folder / "operator", _NAMESPACE, url=url, inside=True, more=("--patch-pods=on",)
                )  # fmt: skip
                stack.enter_context(started)
                async with hearing(ground):
                    return await self._measured(ground)

    async def _measured(self, ground: Operated) -> tuple[_Roll, _Roll]:
        workloads = {"name": "agents", "namespaces": [_NAMESPACE], "controlTokenSecretName": "control"}
        rollout = {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 60}}
        await ground.make(targets={"workloads": [workloads]}, rollout=rollout)
        await ground.until_ready(VERSIONS[0], seconds=_PATIENCE_SECONDS)
        for name in ("controllers", "scheduler"):
            self.cluster.end_daemon(name)
            self.cluster.start_daemon(name, usual_limits=True)
        in_place = await self._rolled(ground, VERSIONS[1])
        say(f"inplace: in place {in_place}")
        rolling = {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}
        await self._all(
            lambda name: ground.client.merge(Place(STATEFUL_SETS, _NAMESPACE, name), rolling, manager="bench")
        )
        await self._settled(ground.client)
        by_controllers = await self._rolled(ground, VERSIONS[2])
        say(f"inplace: by controllers {by_controllers}")
        return in_place, by_controllers

    async def _rolled(self, ground: Operated, version: str) -> _Roll:
        await self._quiet()
        before, began = await self._written(), time.monotonic()
        await ground.edit(version=version)
        running = asyncio.create_task(self._run(ground, version))
        await ground.until_ready(version, seconds=_PATIENCE_SECONDS)
        ready = time.monotonic() - began
        runs = await running - began
        await self._quiet()  # what the controllers have left to write is theirs, too
        return _Roll(runs, ready, await self._written() - before)

    async def _run(self, ground: Operated, version: str) -> float:
        """When the last pod began to run a version (monotonic seconds)."""
        digest, running = ground.released[version].rpartition("@")[2], set[str]()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for news in follow(ground.client, PODS, _NAMESPACE):
                for pod in news.items if isinstance(news, Listed) else [news.object]:
                    (status,) = pod.get("status", {}).get("containerStatuses") or [{}]
                    if status.get("ready") and status["image"].endswith(digest):
                        running.add(pod["metadata"]["name"])
                if len(running) == self.scale.workspaces:
                    return time.monotonic()
        raise AssertionError("the watch ended")

    async def _all(self, call: Callable[[str], Awaitable[object]]) -> None:
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            async with turns:
                await call(f"ws-{number}")

        await asyncio.gather(*map(one, range(self.scale.workspaces)))

    async def _settled(self, client: KubeCluster) -> None:
        """Wait until all StatefulSets are as they are asked to be."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                found = (await client.list(STATEFUL_SETS, _NAMESPACE)).items
                if sum(map(_is_settled, found)) == self.scale.workspaces:
                    return
                await asyncio.sleep(2)

    async def _quiet(self) -> None:
        """Wait until nobody writes any more."""
        before = -math.inf
        while (now := await self._written()) - before > _FEW:
            before = now
            await asyncio.sleep(_QUIET_SECONDS)

    async def _written(self) -> float:
        """How much was written to the API server so far, by anybody."""
        inside = f"https://{GATEWAY}:{self.cluster.own.ports()['api']}"
        api = replace(self.cluster.api, url=inside)
        _, document = api.ask("/metrics")
        counts = _WRITES.findall(document["message"])
        return sum(float(count) for resource, count in counts if resource not in _NOT_COUNTED)


def _is_settled(found: JsonObject) -> bool:
    status = found.get("status", {})
    observed = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(observed and status.get("readyReplicas") == status.get("updatedReplicas") == 1)


def _workspace(name: str, image: str) -> JsonObject:
    pod = {"containers": [{"name": "workspace", "image": image}], **ON_FAKE_NODES}
    return {
        "metadata": {"name": name, "labels": {LABEL_MANAGED: "true"}},
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }
