"""Rolls one workload of a cluster to another image: drain, change the image, wait for the proof from inside, else go back.

The workload is the memory: what is under way stands in its annotations (`model.roll`), written together with the image, so
that a kill at any point leaves something that the next pass finishes or undoes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from controller.api.conditions import Reason
from controller.clients.kube import Conflict
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.errors import Terminal, Transient
from controller.model.observed import Known
from controller.model.replacement import Cause, Replaced, ReplaceResult, RolledBack, StillBusy
from controller.model.roll import Marks, Roll
from controller.model.running import RuntimeState
from controller.model.workload import Container, Pod, Workload, WorkloadKind
from controller.plan.workloads import contest

_POLL_SECONDS: Final = 0.5
_CRASHES: Final = 2
"""How often a new process may end before it counts as one that cannot start."""
_MARGIN_SECONDS: Final = 60
"""How much longer a drain holds than it is waited for: whoever was killed in between leaves no workspace shut."""
_WRITES: Final = 5


@dataclass(frozen=True, slots=True)
class RollOrder:
    """Bring the workload `kind` `namespace`/`name` to `image`; without one, only finish or undo what was begun there.

    `digests` are what a node may call the image; `token` is what its workspaces must know to drain over HTTP, None where
    they drain when they are told to end. `generation` is that of the object, for `corrects`: put an image that somebody
    else wrote back, once for each.
    """

    owner: str
    kind: WorkloadKind
    namespace: str
    name: str
    container: str
    image: str | None
    version: str = ""
    content_sha256: str | None = None
    digests: tuple[str, ...] = ()
    token: str | None = None
    drain_timeout_seconds: float = 900.0
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    start_deadline_seconds: float = 1800.0
    corrects: bool = False
    generation: int = 0


async def roll(
    workloads: KubeWorkloads,
    workspaces: PodWorkspaces,
    order: RollOrder,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> ReplaceResult:
    """Roll one workload and return how that ended; the old image is back unless the new one is proven.

    Raises:
        Transient: the cluster went away, or somebody changes the workload all the time; the next pass goes on.
        Terminal: its container is not there, or somebody else writes its image.
    """
    return await _Rolling(workloads, workspaces, order, on_step).run()


class _Rolling:
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
        self._begun = False

    async def run(self) -> ReplaceResult:
        workload, container = await self._read()
        marks = Marks.of(workload)
        if marks.roll is None:
            if self._order.image is None or container.image == self._order.image:
                return Replaced(workload.uid, workload.uid, changed=False)
            pods = [pod for pod in await self._pods(workload) if pod.running]
            busy = await self._drain(workload, pods)
            if busy is not None:
                return busy
            try:
                await self._begin()
            except BaseException:
                await self._resume(pods)
                raise
        elif self._order.image is not None and marks.image != self._order.image:
            # What was begun is not wanted any more: its successor takes over where it comes from.
            await self._begin(before=marks.roll.before)
        return await self._prove()

    async def _read(self) -> tuple[Workload, Container]:
        workload = await self._workloads.read(self._order.kind, self._order.namespace, self._order.name)
        container = workload.container(self._order.container)
        if container is None:
            raise Terminal(
                Reason.CONTAINER_NOT_FOUND,
                f"{workload.id} has no container {self._order.container}: an apply would add one.",
                fix="Correct targets.workloads[].container.",
            )
        contested = contest(workload, container)
        corrected = Marks.of(workload).corrected
        if contested and not (self._order.corrects and corrected != self._order.generation):
            raise Terminal(
                Reason.IMAGE_CONTESTED, f"{workload.id}: {contested}.", fix="Nothing is written until then."
            )
        return workload, container

    # draining

    async def _drain(self, workload: Workload, pods: Sequence[Pod]) -> StillBusy | None:
        """Have running work end; None when there is none, or when its time is over and it is to be cut.

        Of several pods that are replaced one after the other each drains by itself when it is told to end.
        """
        if workload.replicas > 1 and workload.strategy == "RollingUpdate":
            return None
        self._on_step("Draining")
        try:
            ended = await asyncio.gather(*(self._drain_pod(pod) for pod in pods))
        except BaseException:
            await self._resume(pods)
            raise
        busy = next((each for each in ended if each is not None), None)
        if busy is not None:
            await self._resume(pods)
        return busy

    async def _resume(self, pods: Sequence[Pod]) -> None:
        """Let those that were drained take work again; one that cannot be told does so when its drain is over."""
        token = self._order.token
        if token is None:
            return
        for pod in pods:
            with suppress(Transient):
                await self._workspaces.resume(pod, token=token)

    async def _drain_pod(self, pod: Pod) -> StillBusy | None:
        deadline = time.monotonic() + self._order.drain_timeout_seconds
        token, reason = self._order.token, ""
        active, oldest = None, None
        if token is not None:
            seconds = self._order.drain_timeout_seconds + _MARGIN_SECONDS
            try:
                await self._workspaces.drain(pod, seconds=seconds, token=token)
            except Transient as unknown:
                reason = str(unknown)
        while True:
            said = await self._workspaces.report(pod, container=self._order.container)
            if isinstance(said, Known) and said.value.idle:
                return None
            if isinstance(said, Known):
                active, oldest = said.value.active_tasks, said.value.oldest_task_seconds
            wedged = isinstance(said, Known) and said.value.state is RuntimeState.WEDGED
            # Without a drain new work comes all the time: who waits for the end of it waits for nothing.
            if time.monotonic() >= deadline or (token is None and self._order.on_timeout == "Wait"):
                if self._order.on_timeout == "Proceed" or wedged:
                    return None
                return StillBusy(pod.uid, self._still_busy(pod, said, reason), active, oldest)
            await asyncio.sleep(_POLL_SECONDS)

    def _still_busy(self, pod: Pod, said: object, reason: str) -> str:
        if isinstance(said, Known):
            waited = f" within {self._order.drain_timeout_seconds:g} s" if self._order.token else ""
            return f"work in progress in pod {pod.name} did not end{waited}"
        why = reason or getattr(said, "reason", "")
        return f"it cannot be told whether work is in progress in pod {pod.name}: {why}"

    # writing

    async def _begin(self, *, before: str | None = None) -> None:
        order = self._order
        self._on_step("Changing the image")

        def marks(workload: Workload, container: Container) -> Marks:
            roll = Roll(before or container.image, order.version, order.content_sha256, order.digests)
            contested = contest(workload, container) is not None
            corrected = order.generation if contested else Marks.of(workload).corrected
            return Marks(order.owner, order.image, roll, corrected)

        await self._write(order.image or "", marks)
        self._begun = True

    async def _write(self, image: str, marks: Callable[[Workload, Container], Marks]) -> Workload:
        """Write the image and our marks onto the workload as it was just read."""
        problem: Transient = Transient("")
        for _ in range(_WRITES):
            workload, container = await self._read()
            ours = marks(workload, container)
            try:
                return await self._workloads.set_image(
                    workload, container.name, image, annotations=ours.annotations()
                )
            except Conflict as changed:
                problem = changed
                await asyncio.sleep(_POLL_SECONDS / 5)
        raise problem

    # proving

    async def _prove(self) -> ReplaceResult:
        self._on_step("Waiting for the proof")
        since, ran = time.monotonic(), False
        while True:
            workload, container = await self._read()
            marks = Marks.of(workload)
            if marks.roll is None:
                return Replaced(workload.uid, workload.uid)
            if container.image == marks.image and workload.rolled and workload.replicas == 0:
                await self._finish()
                return Replaced(workload.uid, workload.uid, awaiting_first_start=True)
            pods = await self._pods(workload)
            failure = await self._look(workload, pods, marks.roll)
            if failure is None:
                await self._finish()
                return Replaced(workload.uid, workload.uid, seconds_down=0.0)
            cause, message = failure
            if not ran and any(pod.running and pod.image == marks.image for pod in pods):
                since, ran = time.monotonic(), True  # the deadline runs from the start of the process
            late = time.monotonic() - since > self._order.start_deadline_seconds
            if cause in {Cause.WRONG_VERSION, Cause.EXITED} or late:
                return await self._go_back(workload, marks.roll, cause, message)
            await asyncio.sleep(_POLL_SECONDS)

    async def _look(self, workload: Workload, pods: tuple[Pod, ...], roll: Roll) -> tuple[Cause, str] | None:
        """Return why the new image is not proven (yet), None when every pod has reported it from inside."""
        new = [pod for pod in pods if not pod.deleting and pod.image == Marks.of(workload).image]
        for pod in new:
            if pod.restarts >= _CRASHES and not pod.running:
                return (
                    Cause.EXITED,
                    f"Its process ended {pod.restarts + 1} times: pod {pod.name}: {pod.waiting}.",
                )
            if not pod.running:
                cause = Cause.HOST if "Pull" in (pod.waiting or "") else Cause.NOT_STARTED
                return cause, f"Pod {pod.name} does not run: {pod.waiting or 'it is being started'}."
        if not workload.rolled or len(new) < workload.replicas:
            return Cause.NEVER_READY, f"{len(new)} of {workload.replicas} pods are new."
        for pod in new:
            if pod.digest not in roll.digests:
                return (
                    Cause.WRONG_VERSION,
                    f"Pod {pod.name} runs {pod.image_id}, which is not the image asked for.",
                )
            said = await self._workspaces.report(pod, container=self._order.container)
            if not isinstance(said, Known):
                return Cause.NEVER_READY, f"Pod {pod.name} does not report: {said.reason}."
            report = said.value
            if not report.is_version(roll.version, roll.content_sha256):
                told = f"{report.package} {report.version} with content {report.content_sha256}"
                return Cause.WRONG_VERSION, f"Pod {pod.name} reports {told}, not {roll.version}."
            if report.state in {RuntimeState.STARTING, RuntimeState.WEDGED}:
                return Cause.NEVER_READY, f"Pod {pod.name} says that it is {report.state}."
        return None

    async def _finish(self) -> None:
        _, container = await self._read()
        await self._write(container.image, lambda now, _: replace(Marks.of(now), roll=None))

    async def _go_back(self, workload: Workload, roll: Roll, cause: Cause, message: str) -> RolledBack:
        self._on_step("Going back to the old image")
        await self._write(roll.before, lambda now, _: replace(Marks.of(now), image=roll.before, roll=None))
        back = await self._await_old(roll.before)
        return RolledBack(workload.uid, cause, message + back, witnessed=self._begun)

    async def _await_old(self, image: str) -> str:
        """Wait until the old image runs again; return what to add to the message when it does not.

        NOTE: A StatefulSet waits for ever for a pod of the bad revision to become ready, whatever its template says by
        now: such a pod is deleted, as its documentation asks for (Forced rollback).
        """
        deadline = time.monotonic() + self._order.start_deadline_seconds
        while time.monotonic() < deadline:
            workload, _ = await self._read()
            pods = await self._pods(workload)
            if workload.rolled and all(
                pod.running and pod.image == image for pod in pods if not pod.deleting
            ):
                return ""
            if workload.kind is WorkloadKind.STATEFUL_SET:
                for pod in pods:
                    if pod.image != image and not pod.running and not pod.deleting:
                        await self._workloads.delete_pod(pod)
            await asyncio.sleep(_POLL_SECONDS)
        return " The old image does not run again yet, either."

    async def _pods(self, workload: Workload) -> tuple[Pod, ...]:
        return await self._workloads.pods(workload, self._order.container)
