"""Deployments and StatefulSets of a cluster, as nouns of ours; of them we write one image and our annotations, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from controller.api.names import GROUP
from controller.clients._kube_workloads import (
    REVISION_LABEL,
    parse_pod,
    parse_workload,
    same_but_image,
)
from controller.clients.disruption_budgets import DisruptionBudgets
from controller.clients.kube import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    STATEFUL_SETS,
    Conflict,
    JsonObject,
    KubeCluster,
    Place,
    Resource,
)
from controller.clients.kube_cache import UNHEARD_SECONDS, KubeCache, made_once
from controller.clients.node_images import NodeImages
from controller.model.errors import NotFound, Transient
from controller.model.roll import CORRECTED
from controller.model.workload import FIELD_MANAGER, Pod, Workload, WorkloadKind

_RESOURCES: Final[Mapping[WorkloadKind, Resource]] = {
    WorkloadKind.DEPLOYMENT: DEPLOYMENTS,
    WorkloadKind.STATEFUL_SET: STATEFUL_SETS,
}
REVISIONS: Final = Resource("apps/v1", "controllerrevisions", "ControllerRevision")
CLAIMS: Final = Resource("v1", "persistentvolumeclaims", "PersistentVolumeClaim")


class KubeWorkloads:
    """The workloads of one cluster. Methods raise as those of `KubeCluster` do."""

    def __init__(self, cluster: KubeCluster | KubeCache) -> None:
        self._cluster = cluster
        self.nodes = NodeImages(cluster)
        self.budgets = DisruptionBudgets(cluster)
        self._written: dict[str, tuple[str, str | None]] = {}

    async def list(self, namespace: str, *, labels: str) -> tuple[Workload, ...]:
        """Return the workloads of both kinds in a namespace that carry `labels`, by name."""
        both = await asyncio.gather(
            *(self._cluster.list(resource, namespace, labels=labels) for resource in _RESOURCES.values())
        )
        found = [
            self._parsed(kind, item)
            for kind, listed in zip(_RESOURCES, both, strict=True)
            for item in listed.items
        ]
        return tuple(sorted(found, key=lambda each: each.id))

    async def read(self, kind: WorkloadKind, namespace: str, name: str) -> Workload:
        """Return one workload."""
        return self._parsed(kind, await self._cluster.read(_RESOURCES[kind], namespace, name))

    async def changed(self, workload: Workload, *, seconds: float) -> None:
        """Wait until something new is known of the workload, or for `seconds`; where nobody tells, for a moment."""
        if isinstance(self._cluster, KubeCluster):
            await asyncio.sleep(min(seconds, UNHEARD_SECONDS))
            return
        at = Place(_RESOURCES[workload.kind], workload.namespace, workload.name)
        await self._cluster.changed(at, workload.resource_version, seconds=seconds)

    async def pods(self, workload: Workload, container: str) -> tuple[Pod, ...]:
        """Return the workload's pods, seen through one container, those that are being deleted included."""
        listed = await self._cluster.list(PODS, workload.namespace, labels=workload.selector)
        found = [made_once(item, container, partial(parse_pod, item, container)) for item in listed.items]
        return tuple(sorted(found, key=lambda pod: pod.name))

    async def namespace(self, name: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return labels and annotations of a namespace.

        Raises:
            Transient: it is being deleted, with all that is in it.
        """
        metadata = (await self._cluster.read(NAMESPACES, None, name))["metadata"]
        if "deletionTimestamp" in metadata:
            raise Transient(f"Namespace {name} is being deleted.")
        return metadata.get("labels") or {}, metadata.get("annotations") or {}

    async def single_writer_claims(self, namespace: str) -> frozenset[str]:
        """Return the names of the volume claims in a namespace that one node alone may mount."""
        listed = await self._cluster.list(CLAIMS, namespace)
        return frozenset(
            item["metadata"]["name"]
            for item in listed.items
            if not {"ReadWriteMany", "ReadOnlyMany"} & set(item["spec"].get("accessModes") or ())
        )

    async def delete_pod(self, pod: Pod) -> None:
        """Delete a pod, whose workload makes another one; without effect when it is gone."""
        with suppress(NotFound):
            await self._cluster.delete(PODS, pod.namespace, pod.name, uid=pod.uid)

    async def set_pod_image(self, pod: Pod, container: str, image: str, *, revision: str) -> None:
        """Have `container` of a running pod run `image`, as made from `revision`; without effect when the pod is gone.

        Its node ends the process and starts it again in the same pod. Both are written each time: what an apply leaves
        out, it takes off.
        """
        body: JsonObject = {
            "metadata": {"uid": pod.uid, "labels": {REVISION_LABEL: revision}},
            "spec": {"containers": [{"name": container, "image": image}]},
        }
        with suppress(Conflict):
            await self._cluster.apply(
                Place(PODS, pod.namespace, pod.name), body, manager=FIELD_MANAGER, force=True
            )

    async def differs_only_in_image(self, workload: Workload, revision: str, container: str) -> bool:
        """Return whether `revision` is the template of a StatefulSet as it was read, but for the image of one container."""
        cluster = self._cluster.cluster if isinstance(self._cluster, KubeCache) else self._cluster
        try:
            made_from, now = await asyncio.gather(
                cluster.read(REVISIONS, workload.namespace, revision),
                cluster.read(STATEFUL_SETS, workload.namespace, workload.name),
            )
        except NotFound:
            return False
        if now["metadata"]["generation"] != workload.generation:
            return False
        return same_but_image(made_from["data"]["spec"]["template"], now["spec"]["template"], container)

    async def set_image(
        self, workload: Workload, container: str, image: str, *, annotations: Mapping[str, str]
    ) -> Workload:
        """Have `container` of exactly this workload, as it was read, run `image`; ours are `annotations` and no others.

        The image is taken from whoever owns it: that nobody else wrote it since we did is for the caller to see, in what
        it read.

        Raises:
            Conflict: it has changed since, or is another one of that name.
        """
        body: JsonObject = {
            "metadata": {
                "uid": workload.uid,
                "resourceVersion": workload.resource_version,
                "annotations": {f"{GROUP}/{name}": value for name, value in annotations.items()},
            },
            "spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}},
        }
        at = Place(_RESOURCES[workload.kind], workload.namespace, workload.name)
        written = await self._cluster.apply(at, body, manager=FIELD_MANAGER, force=True)
        self._written[workload.uid] = image, annotations.get(CORRECTED)
        return self._parsed(workload.kind, written)

    def _parsed(self, kind: WorkloadKind, found: JsonObject) -> Workload:
        ours = self._written.get(found["metadata"]["uid"], (None, None))
        return made_once(found, ours, partial(_parse, kind, found, *ours))


def _parse(kind: WorkloadKind, found: JsonObject, written: str | None, put_back: str | None) -> Workload:
    return replace(parse_workload(kind, found), written=written, put_back=put_back)
