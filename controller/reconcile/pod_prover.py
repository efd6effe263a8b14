"""Proves candidates in a cluster: each in a pod of the object's namespace, beside the stand-in model, and cut off from all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from builder.oci import Platform
from controller.act.probe import probe
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Registry
from controller.clients.kube import KubeCluster, Owner, Resource
from controller.clients.pod_candidate import PodPlace, ProbePlace, pod_candidate
from controller.clients.pods import USUAL_URL
from controller.model.errors import Terminal
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed
from controller.settings import Settings

_NODES: Final = Resource("v1", "nodes", "Node")


def place_of(settings: Settings) -> ProbePlace:
    """Return how candidates are booted, as the settings say.

    Raises:
        Terminal: GateUnreachable; they do not name the image of the stand-in.
    """
    if settings.operator_image is None:
        raise Terminal(
            Reason.GATE_UNREACHABLE,
            "WSR_OPERATOR_IMAGE is not set, so there is no image for the stand-in model beside a candidate.",
            fix="Set it to the operator's own image.",
        )
    return ProbePlace(settings.operator_image, settings.workspace_url or USUAL_URL, settings.probe_callers)


class PodProver:
    """The `Prover` of one object in its cluster."""

    def __init__(
        self,
        cluster: KubeCluster,
        owner: Owner,
        place: ProbePlace,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`say` takes lines about what a pod waits for."""
        self._where = PodPlace(cluster, owner, place, say)

    async def platform(self) -> str:
        """See `Prover`: what the nodes have, and of several what this process runs on."""
        own = Platform.here().architecture
        try:
            nodes = await self._where.cluster.list(_NODES)
        except Terminal:  # who is bound to namespaces may not ask; but one node has this process
            return f"linux/{own}"
        found = {str(node["status"]["nodeInfo"]["architecture"]) for node in nodes.items}
        return f"linux/{own if own in found or not found else min(found)}"

    async def prove(self, registry: Registry, order: ProbeOrder) -> ProbePassed | ProbeFailed:
        """See `Prover`; the cluster's nodes pull the image."""
        async with pod_candidate(self._where, order, pull_secret=registry.pull_secret_name) as candidate:
            return await probe(candidate, order)
