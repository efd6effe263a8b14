"""Asks the workspaces in a workload's pods for no new work and waits until what is under way has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from controller.clients.pods import PodWorkspaces
from controller.model.errors import Transient
from controller.model.observed import Known, Observed
from controller.model.replacement import StillBusy
from controller.model.roll import RollOrder
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.workload import Pod

_POLL_SECONDS: Final = 0.5
_MARGIN_SECONDS: Final = 60
"""How much longer a drain holds than it is waited for: whoever was killed in between leaves no workspace shut."""


class Draining:
    """The drain of some pods of one workload."""

    def __init__(self, workspaces: PodWorkspaces, order: RollOrder, pods: Sequence[Pod]) -> None:
        self._workspaces = workspaces
        self._order = order
        self._pods = pods

    async def run(self) -> StillBusy | None:
        """Have running work end; None when there is none, or when its time is over and it is to be cut.

        Where it ends in anything else, all of them take work again.
        """
        try:
            ended = await asyncio.gather(*(self._drain(pod) for pod in self._pods))
        except BaseException:
            await self.resume()
            raise
        busy = next((each for each in ended if each is not None), None)
        if busy is not None:
            await self.resume()
        return busy

    async def resume(self) -> None:
        """Let those that were drained take work again; one that cannot be told does so when its drain is over."""
        token = self._order.token
        if token is None:
            return
        for pod in self._pods:
            with suppress(Transient):
                await self._workspaces.resume(pod, token=token)

    async def _drain(self, pod: Pod) -> StillBusy | None:
        deadline = time.monotonic() + self._order.drain_timeout_seconds
        said, refusal = await self._ask(pod)
        while True:
            if isinstance(said, Known) and said.value.idle:
                return None
            # Without a drain new work comes all the time: who waits for the end of it waits for nothing.
            waits = self._order.token is not None or self._order.on_timeout == "Proceed"
            if time.monotonic() >= deadline or not waits:
                return self._over(pod, said, refusal)
            await asyncio.sleep(_POLL_SECONDS)
            said = await self._workspaces.report(pod, container=self._order.container)

    async def _ask(self, pod: Pod) -> tuple[Observed[RuntimeReport], str]:
        """Ask for no new work; return what is under way then, and why that could not be asked, empty when it was."""
        refusal = ""
        if self._order.token is not None:
            seconds = self._order.drain_timeout_seconds + _MARGIN_SECONDS
            try:
                return Known(await self._workspaces.drain(pod, seconds=seconds, token=self._order.token)), ""
            except Transient as unknown:
                refusal = str(unknown)
        return await self._workspaces.report(pod, container=self._order.container), refusal

    def _over(self, pod: Pod, said: Observed[RuntimeReport], refusal: str) -> StillBusy | None:
        """Decide what follows when the time for work in progress is over.

        A wedged process had the same time to recover; waiting any longer would keep out the cure.
        """
        if self._order.on_timeout == "Proceed":
            return None
        if not isinstance(said, Known):
            why = refusal or said.reason
            return StillBusy(
                pod.uid, f"it cannot be told whether work is in progress in pod {pod.name}: {why}"
            )
        report = said.value
        if report.state is RuntimeState.WEDGED:
            return None
        waited = f" within {self._order.drain_timeout_seconds:g} s" if self._order.token else ""
        reason = f"work in progress in pod {pod.name} did not end{waited}"
        return StillBusy(pod.uid, reason, report.active_tasks, report.oldest_task_seconds)
