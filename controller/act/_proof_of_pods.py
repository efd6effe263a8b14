"""Judges whether the pods of a workload have proven an image: that they run it, by digest, and report it from inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.clients.pods import PodWorkspaces
from controller.model.observed import Known, Observed
from controller.model.replacement import Cause
from controller.model.roll import Marks, Roll
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.workload import Pod, Workload
from controller.plan.workloads import why_missing

_CRASHES: Final = 2
"""How often a new process may end before it counts as one that cannot start."""
_OF_THE_IMAGE: Final = (
    "RunContainerError",
    "CreateContainerError",
    "StartError",
    "CrashLoopBackOff",
    "Error",
)
"""Why a container does not run that speaks against its image; pulls, volumes and nodes do not."""

Failure = tuple[Cause, str]


@dataclass(frozen=True)
class ProofOfPods:
    """How the pods of one workload are judged.

    `before` returns a pod as it was before its container got the image, None for one that was made with it.
    """

    workspaces: PodWorkspaces
    container: str
    before: Callable[[Pod], Pod | None]

    async def failure(self, workload: Workload, pods: Sequence[Pod], roll: Roll) -> Failure | None:
        """Return why the new image is not proven (yet), None when every pod that has it has reported it from inside.

        All pods must have it, but of those that the cluster does not replace by itself.
        """
        new = [pod for pod in pods if not pod.deleting and pod.image == Marks.of(workload).image]
        stopped = next(filter(None, map(self._stopped, new)), None)
        if stopped is not None:
            return stopped
        if not workload.on_delete and (not workload.rolled or len(new) < workload.replicas):
            return _missing(workload, pods, new)
        other = next(filter(None, (self._other_image(pod, roll) for pod in new)), None)
        if other is not None:
            return other
        judged = zip(new, await self.reports(new), strict=True)
        return next(filter(None, (_contradiction(pod, said, roll) for pod, said in judged)), None)

    async def reports(self, pods: Sequence[Pod]) -> Sequence[Observed[RuntimeReport]]:
        """Ask them all at once: one that does not answer keeps us for seconds."""
        asked = (self.workspaces.report(pod, container=self.container) for pod in pods)
        return await asyncio.gather(*asked)

    def _stopped(self, pod: Pod) -> Failure | None:
        if pod.running:
            return None
        before = self.before(pod)
        ended = pod.restarts + 1 if before is None else pod.restarts - before.restarts
        if ended > _CRASHES:
            return Cause.EXITED, f"Its process ended {ended} times: pod {pod.name}: {pod.waiting}."
        blamed = (pod.waiting or "").startswith(_OF_THE_IMAGE)
        cause = Cause.NOT_STARTED if blamed else Cause.HOST
        return cause, f"Pod {pod.name} does not run: {pod.waiting or 'it is being started'}."

    def _other_image(self, pod: Pod, roll: Roll) -> Failure | None:
        if pod.digest in roll.digests:
            return None
        before = self.before(pod)
        if before is not None and before.container_id == pod.container_id:
            return Cause.HOST, f"Pod {pod.name} has not ended its process from before yet."
        return (
            Cause.WRONG_VERSION,
            f"Pod {pod.name} runs {pod.image_id}, which is not the image asked for.",
        )


def _missing(workload: Workload, pods: Sequence[Pod], new: Sequence[Pod]) -> Failure:
    """Return why there are not enough new pods: the image's fault only where one runs and is not ready, so that others wait."""
    told = f"{len(new)} of {workload.replicas} pods are new"
    unready = next((pod.name for pod in new if not pod.ready), None)
    if unready is not None:
        return Cause.NEVER_READY, f"{told}; pod {unready} runs and is not ready."
    return Cause.HOST, f"{told}; {why_missing(workload, pods)}."


def _contradiction(pod: Pod, said: Observed[RuntimeReport], roll: Roll) -> Failure | None:
    """Return why what a pod says is no proof."""
    if not isinstance(said, Known):
        return Cause.NEVER_READY, f"Pod {pod.name} does not report: {said.reason}."
    report = said.value
    if not report.is_version(roll.version, roll.content_sha256):
        told = f"{report.package} {report.version} with content {report.content_sha256}"
        return Cause.WRONG_VERSION, f"Pod {pod.name} reports {told}, not {roll.version}."
    if report.state in {RuntimeState.STARTING, RuntimeState.WEDGED}:
        return Cause.NEVER_READY, f"Pod {pod.name} says that it is {report.state}."
    return None
