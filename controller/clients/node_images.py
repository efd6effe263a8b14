"""Has a node pull an image before anybody is ended for it, so that the gap is a start and not a download.

Nothing of Kubernetes pulls an image but a pod that runs it. So one is made on that node which ends at once, with no rights, no
token, and what the workload's own pod pulls with.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from controller.clients.kube import (
    PODS,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    Conflict,
    JsonObject,
    KubeCluster,
    Place,
)
from controller.clients.kube_cache import KubeCache
from controller.model.errors import NotFound, Transient
from controller.model.workload import Pod, Workload

_LOOK_SECONDS: Final = 0.2
_TRIES: Final = 5
_PENDING: Final = frozenset({"ContainerCreating", "PodInitializing"})
_FAILED: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""Why a container waits for an image that its node has not; any other reason is none of the pull's."""
_RESOURCES: Final = {"cpu": "10m", "memory": "32Mi"}


class NodeImages:
    """What the nodes of a cluster have pulled, as far as they were asked to here."""

    def __init__(self, cluster: KubeCluster | KubeCache) -> None:
        self._cluster = cluster
        self._server = cluster.cluster if isinstance(cluster, KubeCache) else cluster
        self._pulls: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def pull(self, workload: Workload, pod: Pod, image: str, *, seconds: float) -> None:
        """Have the node of a pod pull an image; of several who want the same, one asks.

        Raises:
            Transient: the node cannot pull it, in its own words, or has not within `seconds`.
            Terminal: the cluster lets no such pod in.
        """
        if not pod.node:
            return
        known = pod.node, image
        if known not in self._pulls:
            asked = self._asked(workload, pod, image, time.monotonic() + seconds)
            self._pulls[known] = asyncio.create_task(asked)
            self._pulls[known].add_done_callback(partial(self._ended, known))
        await asyncio.shield(self._pulls[known])

    def _ended(self, known: tuple[str, str], pull: asyncio.Task[None]) -> None:
        if pull.cancelled() or pull.exception() is not None:
            del self._pulls[known]

    async def _asked(self, workload: Workload, pod: Pod, image: str, deadline: float) -> None:
        with suppress(NotFound):  # the pod is gone, and nobody knows where the next one comes
            whole = await self._server.read(PODS, pod.namespace, pod.name)
            puller = _puller(workload, whole, image, seconds=max(1, int(deadline - time.monotonic())))
            at = Place(PODS, pod.namespace, puller["metadata"]["name"])
            await self._made(at, puller, image)
            try:
                await self._pulled(at, pod, image, deadline)
            finally:
                with suppress(NotFound, Transient):
                    await self._cluster.delete(PODS, at.namespace, at.name)

    async def _made(self, at: Place, puller: JsonObject, image: str) -> None:
        """Make the pod, or take up the one that a killed process left; one for an earlier image is removed."""
        for _ in range(_TRIES):
            with suppress(Conflict):
                await self._server.create(PODS, at.namespace, puller)
                return
            with suppress(NotFound):
                there = await self._server.read(PODS, at.namespace, at.name)
                ending = "deletionTimestamp" in there["metadata"]
                if there["spec"]["containers"][0]["image"] == image and not ending:
                    return
                await self._cluster.delete(PODS, at.namespace, at.name)
            await asyncio.sleep(_LOOK_SECONDS)
        raise Transient(f"{at} is in the way: somebody makes it again and again.")

    async def _pulled(self, at: Place, pod: Pod, image: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            found = await self._cluster.read(PODS, at.namespace, at.name)
            status = found.get("status") or {}
            (own,) = status.get("containerStatuses") or [{}]
            waiting = (own.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason", "ContainerCreating") if waiting or not own.get("state") else ""
            if reason in _FAILED:
                words = " ".join(str(waiting.get("message") or reason).split())
                raise Transient(f"Node {pod.node} cannot pull {image}: {words}")
            if own.get("imageID") or reason not in _PENDING or status.get("phase") == "Failed":
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise Transient(f"Node {pod.node} has not pulled {image} in time.")


def _puller(workload: Workload, pod: JsonObject, image: str, *, seconds: int) -> JsonObject:
    """Return the pod that has the node of `pod` pull `image`, and goes with the workload if nobody removes it before."""
    spec: Mapping[str, Any] = pod["spec"]
    repository = image.partition("@")[0].rpartition(":")[0]
    name = hashlib.sha256(f"{spec['nodeName']} {repository}".encode()).hexdigest()[:16]
    owner = {
        "apiVersion": "apps/v1",
        "kind": str(workload.kind),
        "name": workload.name,
        "uid": workload.uid,
    }
    container = {
        "name": "pull",
        "image": image,
        "command": ["true"],
        "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
        "securityContext": RESTRICTED_CONTAINER,
    }
    return {
        "metadata": {
            "name": f"wsr-pull-{name}",
            "labels": {"app.kubernetes.io/managed-by": "workspace-runtime"},
            "ownerReferences": [owner],
        },
        "spec": {
            "nodeName": spec["nodeName"],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": seconds,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": RESTRICTED_POD,
            "tolerations": spec.get("tolerations") or [],
            "imagePullSecrets": spec.get("imagePullSecrets") or [],
            "containers": [container],
        },
    }
