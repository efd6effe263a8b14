"""What the tests of the gate in a cluster share: an object there, its prover, and what a probe leaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from controller.api.names import LABEL_PROBE
from controller.api.v1alpha1 import Registry
from controller.clients.kube import PODS, KubeCluster, Owner, Resource
from controller.clients.pod_candidate import ProbePlace
from controller.model.errors import NotFound
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed, ProbeSettings
from controller.model.workload import digest_of
from controller.reconcile.pod_prover import PodProver
from tests.cluster.cluster import Cluster

VERSION, CONTENT = "0.1.1", "c" * 64
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
POLICIES = Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")


@dataclass(frozen=True)
class Images:
    """References of the candidate and of the stand-in, as pods name them."""

    candidate: str
    stand_in: str


@dataclass
class Place:
    """One object's namespace, and the prover that works for it."""

    cluster: KubeCluster
    owner: Owner
    images: Images
    url: str
    said: list[str] = field(default_factory=list)

    def order(self, template: str = "talker", **environment: str) -> ProbeOrder:
        """An order to boot the candidate, which talks to its model."""
        return ProbeOrder(
            owner=f"{self.owner.namespace}/{self.owner.name}",
            template=template,
            image=self.images.candidate,
            version=VERSION,
            content_sha256=CONTENT,
            start_deadline_seconds=20,
            digests=frozenset({digest_of(self.images.candidate) or ""}),
            turn_deadline_seconds=20,
            settings=ProbeSettings(
                environment={"VERSION": VERSION, "CONTENT": CONTENT, "HAS_MODEL": "1", **environment},
                user="1000",
            ),
        )

    def prover(self) -> PodProver:
        """A prover for it."""
        at = ProbePlace(self.images.stand_in, self.url)
        return PodProver(self.cluster, self.owner, at, say=self.said.append)

    async def prove(self, order: ProbeOrder) -> ProbePassed | ProbeFailed:
        """Prove one candidate."""
        return await self.prover().prove(Registry(artifacts="registry.example/artifacts"), order)

    async def failure(self, order: ProbeOrder) -> ProbeFailed:
        """Prove one that fails."""
        outcome = await self.prove(order)
        assert isinstance(outcome, ProbeFailed), outcome
        assert "\n" not in outcome.message
        return outcome

    async def left(self) -> list[str]:
        """The object's probes, once those that end have had the time to."""
        for _ in range(100):
            listed = await self.cluster.list(PODS, self.owner.namespace, labels=LABEL_PROBE)
            names = [item["metadata"]["name"] for item in listed.items]
            if not names:
                break
            await asyncio.sleep(0.1)
        return names

    async def until_running(self, template: str) -> dict[str, Any]:
        """Wait until a candidate runs, and return its pod."""
        labels = f"runtime.molecule.ai/template={template}"
        while True:
            for pod in (await self.cluster.list(PODS, self.owner.namespace, labels=labels)).items:
                for status in pod["status"].get("containerStatuses") or ():
                    if "running" in status["state"]:
                        return pod
            await asyncio.sleep(0.1)


@asynccontextmanager
async def place_in(cluster: Cluster, namespace: str, images: Images, url: str) -> AsyncIterator[Place]:
    """Give an object of a namespace; any kind of object will do to own probes."""
    async with KubeCluster(cluster.kubeconfig, context=cluster.context) as client:
        made = await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "molecule-runtime"}})
        owner = Owner(namespace, "molecule-runtime", made["metadata"]["uid"], "v1", "ConfigMap")
        yield Place(client, owner, images, url)
        with contextlib.suppress(NotFound):
            await client.delete(CONFIG_MAPS, namespace, owner.name)
