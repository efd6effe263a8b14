"""Rolls one workload of a cluster to another image: drain, change the image, wait for the proof from inside, else go back.

The workload is the memory: what is under way stands in its annotations (`model.roll`), written together with the image, so
that a kill at any point leaves something that the next pass finishes or undoes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from controller.act._drain_pods import Draining
from controller.act._pods_on_delete import PodsOnDelete
from controller.act._proof_of_pods import Failure, ProofOfPods
from controller.api.conditions import Reason
from controller.clients.kube import Conflict
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.errors import Terminal, Transient
from controller.model.observed import Known
from controller.model.replacement import Cause, Replaced, ReplaceResult, RolledBack, StillBusy
from controller.model.roll import Marks, Roll, RollOrder
from controller.model.workload import Container, Pod, Workload, WorkloadKind
from controller.plan.workloads import contest

_POLL_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 2.0
"""How soon to look again at pods of which the workload's own status, which is heard of at once, says nothing."""
_WRITES: Final = 10


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
        self._begun: float | None = None
        self._by_hand = PodsOnDelete(workloads, workspaces, order, on_step)
        self._proof = ProofOfPods(workspaces, order.container, self._by_hand.before)

    async def run(self) -> ReplaceResult:
        try:
            return await self._run()
        finally:
            await self._by_hand.end()
            order = self._order
            self._workloads.budgets.give_back(f"{order.namespace}/{order.kind}/{order.name}")

    async def _run(self) -> ReplaceResult:
        workload, container = await self._read()
        pods = await self._pods(workload) if workload.on_delete else ()
        self._by_hand.found(pods)
        strays = [pod for pod in pods if pod.image != container.image and not pod.deleting]
        marks = Marks.of(workload)
        wanted = self._order.image
        if marks.roll is not None and marks.roll.back and wanted in {None, marks.image}:
            return await self._end_way_back(workload, marks)
        if marks.roll is None and wanted in {None, container.image} and not (wanted and strays):
            return Replaced(workload.uid, workload.uid, changed=False)
        if marks.roll is None or wanted not in {None, marks.image}:
            forbidden = await self._workloads.budgets.take(workload)
            if forbidden is not None:
                return StillBusy(workload.uid, forbidden)
            busy = await self._change(workload, marks)
            if busy is not None:
                return busy
        return await self._prove()

    async def _change(self, workload: Workload, marks: Marks) -> StillBusy | None:
        """Drain what runs and change the image; what was begun towards another one goes back to where that came from."""
        before = marks.roll.before if marks.roll else None
        await self._pull(workload)
        if workload.on_delete:
            pods = await self._pods(workload)
            if (own := workload.container(self._order.container)) and own.image == self._order.image:
                # only pods are behind, so that these say where it comes from
                before = before or next((pod.image for pod in pods if pod.image != own.image), None)
            busy = await self._by_hand.drain_first(workload, pods, marks.roll)
            if busy is None:
                await self._begin(before=before)
            return busy
        draining = Draining(self._workspaces, self._order, await self._serving(workload, marks))
        # Of several pods that are replaced one after the other each drains by itself when it is told to end.
        if workload.replicas == 1 or workload.strategy != "RollingUpdate":
            self._on_step("Draining")
            busy = await draining.run()
            if busy is not None:
                return busy
        try:
            await self._begin(before=before)
            self._begun = time.monotonic()
        except BaseException:
            await draining.resume()
            raise
        return None

    async def _pull(self, workload: Workload) -> None:
        """Have the nodes pull the image first, where a pod ends before the next one starts.

        Raises:
            Transient: a node cannot; nobody is ended for what does not come.
        """
        if not self._order.pulls_before or workload.surge or not self._order.image:
            return
        self._on_step("Pulling the image")
        pulls = (
            self._workloads.nodes.pull(
                workload, pod, self._order.image, seconds=self._order.start_deadline_seconds
            )
            for pod in await self._pods(workload)
            if pod.running
        )
        try:
            await asyncio.gather(*pulls)
        except Terminal as refused:  # then the next pod pulls it
            self._on_step(f"Not pulling the image before: {refused}")

    async def _serving(self, workload: Workload, marks: Marks) -> list[Pod]:
        """Return the pods that may have work: not those of an image that was never proven and does not answer."""
        running = [pod for pod in await self._pods(workload) if pod.running and not pod.deleting]
        if marks.roll is None:
            return running
        return [
            pod
            for pod, each in zip(running, await self._proof.reports(running), strict=True)
            if isinstance(each, Known) or pod.image != marks.image
        ]

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
        if contested and not (self._order.corrects and corrected != self._order.edit):
            raise Terminal(
                Reason.IMAGE_CONTESTED, f"{workload.id}: {contested}.", fix="Nothing is written until then."
            )
        return workload, container

    async def _begin(self, *, before: str | None = None) -> None:
        order = self._order
        self._on_step("Changing the image")

        def marks(workload: Workload, container: Container) -> Marks:
            roll = Roll(before or container.image, order.version, order.content_sha256, order.digests)
            contested = contest(workload, container) is not None
            corrected = order.edit if contested else Marks.of(workload).corrected
            return Marks(order.owner, order.image, roll, corrected)

        await self._write(order.image or "", marks)

    async def _write(self, image: str, marks: Callable[[Workload, Container], Marks]) -> None:
        """Write the image and our marks onto the workload as it was just read."""
        problem: Transient = Transient("")
        for _ in range(_WRITES):
            workload, container = await self._read()
            ours = marks(workload, container)
            try:
                written = await self._workloads.set_image(
                    workload, container.name, image, annotations=ours.annotations()
                )
            except Conflict as changed:
                problem = changed  # at once: what is read a moment later is old again where somebody writes all the time
            else:
                self._by_hand.written(workload, written)
                return
        raise problem

    async def _prove(self) -> ReplaceResult:
        self._on_step("Waiting for the proof")
        since, ran = time.monotonic(), False
        while True:
            workload, container = await self._read()
            marks = Marks.of(workload)
            if marks.roll is None:
                return Replaced(workload.uid, workload.uid)
            if container.image == marks.image and workload.rolled and workload.replicas == 0:
                await self._finish(container.image)
                return Replaced(workload.uid, workload.uid, awaiting_first_start=True)
            pods = await self._pods(workload)
            failure = await self._left(workload, pods, marks.roll)
            if isinstance(failure, StillBusy):
                return failure
            if failure is None:
                await self._finish(container.image)
                return Replaced(workload.uid, workload.uid, seconds_down=self._seconds_down(workload))
            cause, message = failure
            if not ran and any(pod.running and pod.image == marks.image for pod in pods):
                since, ran = time.monotonic(), True  # the deadline runs from the start of the process
            since = max(since, self._by_hand.latest)
            late = time.monotonic() - since > self._order.start_deadline_seconds
            if cause in {Cause.WRONG_VERSION, Cause.EXITED} or late:
                return await self._go_back(workload, marks.roll, cause, message)
            # Of a process that runs and does not answer yet nobody tells.
            asks = cause is Cause.NEVER_READY or workload.on_delete
            await self._workloads.changed(workload, seconds=_POLL_SECONDS if asks else _LOOK_SECONDS)

    async def _left(
        self, workload: Workload, pods: tuple[Pod, ...], roll: Roll
    ) -> Failure | StillBusy | None:
        """Return why the new image is not proven (yet); of pods that nobody else replaces bring the next one to it."""
        failure = await self._proof.failure(workload, pods, roll)
        if failure is not None or not workload.on_delete:
            return failure
        moved = await self._by_hand.move(workload, pods, roll)
        return (Cause.HOST, f"{moved}.") if isinstance(moved, str) else moved

    def _seconds_down(self, workload: Workload) -> float:
        """Return for how long nobody served; 0.0 where another pod served or another pass began."""
        begun = self._by_hand.begun or self._begun
        one_by_one = workload.on_delete and workload.replicas > 1
        return 0.0 if workload.surge or one_by_one or begun is None else time.monotonic() - begun

    async def _finish(self, image: str) -> None:
        await self._write(image, lambda now, _: replace(Marks.of(now), roll=None))

    async def _go_back(self, workload: Workload, roll: Roll, cause: Cause, message: str) -> RolledBack:
        self._on_step("Going back to the old image")
        left = replace(roll, back=True) if workload.on_delete else None
        await self._write(roll.before, lambda now, _: replace(Marks.of(now), image=roll.before, roll=left))
        witnessed = self._begun is not None or self._by_hand.begun is not None
        back = await self._await_old(roll.before)
        return RolledBack(workload.uid, cause, message + back, witnessed=witnessed)

    async def _end_way_back(self, workload: Workload, marks: Marks) -> ReplaceResult:
        """Bring the image from before back to pods to which nobody else brings it."""
        back = await self._await_old(marks.image or "")
        if self._order.image is not None and not back:
            return Replaced(workload.uid, workload.uid)
        return RolledBack(
            workload.uid, Cause.HOST, back.strip() or "the old image runs again", witnessed=False
        )

    async def _await_old(self, image: str) -> str:
        """Wait until the old image runs again; return what to add to the message when it does not.

        NOTE: A StatefulSet waits for ever for a pod of the bad revision to become ready, whatever its template says by
        now: such a pod is deleted, as its documentation asks for (Forced rollback).
        """
        deadline = time.monotonic() + self._order.start_deadline_seconds
        while time.monotonic() < deadline:
            workload, _ = await self._read()
            pods = await self._pods(workload)
            roll = Marks.of(workload).roll
            if workload.on_delete and roll is not None:
                moved = await self._by_hand.move(workload, pods, roll)
                if isinstance(moved, StillBusy):
                    return f" On the way back {moved.reason}."
                if moved is None and all(pod.running for pod in pods):
                    await self._finish(image)
                    return ""
            elif workload.rolled and all(
                pod.running and pod.image == image for pod in pods if not pod.deleting
            ):
                return ""
            elif workload.kind is WorkloadKind.STATEFUL_SET and not workload.on_delete:
                for pod in pods:
                    if pod.image != image and not pod.ready and not pod.deleting:
                        await self._workloads.delete_pod(pod)
            await asyncio.sleep(_POLL_SECONDS)
        return " The old image does not run again yet, either."

    async def _pods(self, workload: Workload) -> tuple[Pod, ...]:
        return await self._workloads.pods(workload, self._order.container)
