"""What the PodDisruptionBudgets of a namespace let go, less what those who roll here have taken of it already.

Controllers do not ask them when they replace pods, and nothing but an eviction does; so they are asked here. One that never
lets a pod go (`minAvailable: 1` for one pod) is meant for nodes that are emptied, and holds nothing up: the pod was drained.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from controller.clients._kube_workloads import selector_of
from controller.clients.kube import PODS, JsonObject, KubeCluster, Resource
from controller.clients.kube_cache import KubeCache
from controller.clients.label_selector import selects
from controller.model.workload import Workload

BUDGETS: Final = Resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget")


class DisruptionBudgets:
    """Those of one cluster, and who has taken of them here."""

    def __init__(self, cluster: KubeCluster | KubeCache) -> None:
        self._cluster = cluster
        self._taken: defaultdict[str, set[str]] = defaultdict(set)

    async def take(self, workload: Workload) -> str | None:
        """Take one pod of a workload away from each budget that counts it; return what forbids that, None when it may go.

        Nothing is waited for between asking and taking, so that two who ask at once do not get the same.
        """
        listed = (await self._cluster.list(PODS, workload.namespace, labels=workload.selector)).items
        labels = [pod["metadata"].get("labels") or {} for pod in listed if _is_ready(pod)]
        if not labels:  # who is away already costs nothing
            return None
        budgets = (await self._cluster.list(BUDGETS, workload.namespace)).items
        about = [
            budget
            for budget in budgets
            if (selector := budget["spec"].get("selector")) is not None
            and any(selects(selector_of(selector), each) for each in labels)
        ]
        for budget in about:
            others = self._taken[budget["metadata"]["uid"]] - {workload.id}
            if (forbidden := _forbidden(budget, taken=len(others))) is not None:
                return forbidden
        for budget in about:
            self._taken[budget["metadata"]["uid"]].add(workload.id)
        return None

    def give_back(self, workload: str) -> None:
        """Take note that the workload of this id is not rolled here any more."""
        for taken in self._taken.values():
            taken.discard(workload)


def _forbidden(budget: JsonObject, *, taken: int) -> str | None:
    status = budget.get("status") or {}
    healthy, desired, expected = (
        status.get(name, 0) for name in ("currentHealthy", "desiredHealthy", "expectedPods")
    )
    if expected <= desired or status.get("disruptionsAllowed", 0) > taken:
        return None
    name, ours = budget["metadata"]["name"], f", and {taken} of them are being replaced" if taken else ""
    return f"PodDisruptionBudget {name} lets no pod go now: {healthy} of {expected} are healthy, {desired} must be{ours}"


def _is_ready(pod: JsonObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
