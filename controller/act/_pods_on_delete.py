"""Brings the pods of a StatefulSet that replaces none itself (OnDelete) to its template: in place where that is honest.

The template is written before, so that a pod that is made meanwhile is right. Then follows one pod after the other: drained, it
gets the image, and last the label of the template that it agrees with by now; where it differs in more than the image, or may
not be patched, it is deleted, and the StatefulSet makes it anew. Each look finds what is left, so that a kill anywhere loses
nothing and does nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from controller.act._drain_pods import Draining
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.observed import Known
from controller.model.replacement import StillBusy
from controller.model.roll import Marks, Roll, RollOrder
from controller.model.workload import Pod, Workload
from controller.plan.workloads import behind, why_missing


class PodsOnDelete:
    """The pods of one such StatefulSet, as one call of `roll` brings them forward."""

    def __init__(
        self,
        workloads: KubeWorkloads,
        workspaces: PodWorkspaces,
        order: RollOrder,
        on_step: Callable[[str], None],
    ) -> None:
        self._workloads = workloads
        self._workspaces = workspaces
        self._order = order
        self._on_step = on_step
        self._alike: dict[tuple[str, int], bool] = {}
        """Whether a revision differs in the image only from the template of a generation."""
        self._drained: dict[str, Draining] = {}
        self._before: dict[str, Pod] = {}
        """Pods as they were before they got the image, as far as that was seen."""
        self.begun: float | None = None
        """When the first of them was replaced here (monotonic seconds)."""
        self.latest = 0.0
        """When the last of them was."""

    def found(self, pods: Sequence[Pod]) -> None:
        """Take in the pods as they are at first: what they did before does not speak against an image."""
        for pod in pods:
            self._before.setdefault(pod.uid, pod)

    def before(self, pod: Pod) -> Pod | None:
        """Return the pod as it was before it got its image; None for one that was made with it."""
        return self._before.get(pod.uid)

    def written(self, before: Workload, after: Workload) -> None:
        """Take in that nothing but the image was changed from one state of the template to the next."""
        if before.is_observed and before.update_revision:
            self._alike[before.update_revision, after.generation] = True

    async def drain_first(
        self, workload: Workload, pods: Sequence[Pod], roll: Roll | None
    ) -> StillBusy | None:
        """Drain the pod that is replaced first, before anything is written."""
        image = self._order.image or ""
        first = next((pod for pod in behind(workload, pods, image) if not pod.deleting), None)
        return None if first is None else await self._drain(first, roll.before if roll else first.image)

    async def move(self, workload: Workload, pods: Sequence[Pod], roll: Roll) -> StillBusy | str | None:
        """Bring one pod closer to the template.

        Returns:
            What is waited for; None when all of them agree with it.
        """
        staying = [pod for pod in pods if not pod.deleting]
        if len(staying) != len(pods) or len(staying) != workload.replicas:
            return f"{len(staying)} of {workload.replicas} pods are there; {why_missing(workload, pods)}"
        image = Marks.of(workload).image or ""
        left = behind(workload, staying, image)
        starting = next((pod for pod in staying if pod.image == image and not pod.ready), None)
        for pod in left:
            has_it = pod.image == image
            if has_it and not workload.is_observed:
                continue
            alike = self._order.in_place and await self._is_alike(workload, pod)
            if has_it and alike:
                await self._workloads.set_pod_image(
                    pod, self._order.container, image, revision=workload.update_revision
                )
                continue
            if starting is not None and pod.ready:
                return f"pod {starting.name} runs and is not ready"
            if alike or workload.is_observed:  # one that is made too early is of the template before
                return await self._replace(workload, pod, roll, image if alike else None)
        return "the cluster has not taken all of it up yet" if left else None

    async def end(self) -> None:
        """Let those that were drained and not replaced take work again."""
        for draining in self._drained.values():
            await draining.resume()
        self._drained.clear()

    async def _replace(self, workload: Workload, pod: Pod, roll: Roll, image: str | None) -> StillBusy | str:
        """Drain a pod and give it an image, or without one delete it."""
        forbidden = await self._workloads.budgets.take(workload) if pod.ready else None
        busy = StillBusy(pod.uid, forbidden) if forbidden else await self._drain(pod, roll.before)
        if busy is not None:
            return busy
        order = self._order
        now = await self._workloads.read(order.kind, order.namespace, order.name)
        pods = await self._workloads.pods(now, order.container)
        same = next((each for each in pods if each.uid == pod.uid and not each.deleting), None)
        if now.generation != workload.generation or same is None:
            return f"{order.name} has been changed meanwhile"
        self._before[pod.uid] = same  # its process may have ended and started while it was drained
        self.latest = time.monotonic()
        self.begun = self.begun or self.latest
        if image is None:
            self._on_step(f"Deleting pod {pod.name}")
            await self._workloads.delete_pod(pod)
        else:
            self._on_step(f"Changing the image of pod {pod.name}")
            await self._workloads.set_pod_image(pod, order.container, image, revision=pod.revision)
        self._drained.pop(pod.uid, None)
        return f"pod {pod.name} is being replaced"

    async def _drain(self, pod: Pod, before: str) -> StillBusy | None:
        """Drain a pod that may have work: not one of an image that was never proven and does not answer."""
        if pod.uid in self._drained or not pod.running:
            return None
        if pod.image != before:
            said = await self._workspaces.report(pod, container=self._order.container)
            if not isinstance(said, Known):
                return None
        self._on_step("Draining")
        draining = Draining(self._workspaces, self._order, [pod])
        busy = await draining.run()
        if busy is None:
            self._drained[pod.uid] = draining
        return busy

    async def _is_alike(self, workload: Workload, pod: Pod) -> bool:
        """Return whether a pod differs from the template in nothing but our image."""
        others = (each for each in workload.containers if each.name != self._order.container)
        if not pod.revision or any(pod.images.get(each.name) != each.image for each in others):
            return False
        if workload.is_observed and pod.revision == workload.update_revision:
            return True
        known = pod.revision, workload.generation
        if known not in self._alike:
            self._alike[known] = await self._workloads.differs_only_in_image(
                workload, pod.revision, self._order.container
            )
        return self._alike[known]
