"""Waits until a container that is to be replaced has no work in progress, or until the time for that is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from controller.act._pace import poll_pause
from controller.clients.docker import Conflict
from controller.clients.workspace import Place, Workspaces
from controller.model.container import ContainerState
from controller.model.errors import Transient
from controller.model.observed import Known
from controller.model.replacement import ReplaceOrder, StillBusy
from controller.model.running import RuntimeReport, RuntimeState

_MARGIN_SECONDS: Final = 120
"""A drain must outlast our wait for it, or new work gets in between its end and the stop."""
_BLIND_LOOKS: Final = 3
_BLIND_LOOKS_CRASHED: Final = 15
_BLIND_PAUSE_SECONDS: Final = 0.2
_BLIND_WAIT_SECONDS: Final = 3.0

Outcome = Literal["Drained", "LookAgain"] | StillBusy
"""Nothing is under way, or it may be cut; the container is to be looked at before anything else; it is left alone."""


class Draining:
    """The drain of one container, which may take several looks at it; remembers since when it goes on."""

    def __init__(self, workspaces: Workspaces, order: ReplaceOrder) -> None:
        self._workspaces = workspaces
        self._order = order
        self._since: float | None = None
        self._blind = 0

    async def go_on(self, old: Mapping[str, Any]) -> Outcome:
        """Ask `old` (an inspection) for no new work, then wait until none is left or it has changed.

        Raises:
            Conflict: it does not run any more: look again.
        """
        self._since = self._since or time.monotonic()
        if old["State"]["Status"] == ContainerState.RESTARTING:
            return "Drained"  # between two crashes there is no process that could have work
        place = Place.of_inspection(old)
        try:
            report = await self._workspaces.drain(
                place, seconds=self._order.drain_timeout_seconds + _MARGIN_SECONDS
            )
        except Conflict:
            raise
        except Transient as unknown:
            return await self._blindly(old, str(unknown))
        while not (report.idle and report.state is RuntimeState.DRAINING):
            if self._left() <= 0:
                return self._over(old, report)
            await asyncio.sleep(poll_pause(self._since))
            observed = await self._workspaces.report(place)
            if not isinstance(observed, Known) or observed.value.state is RuntimeState.SERVING:
                return "LookAgain"  # it went, or started again and knows nothing of the drain
            report = observed.value
        return "Drained"

    def _left(self) -> float:
        return self._order.drain_timeout_seconds - (time.monotonic() - (self._since or 0.0))

    async def _blindly(self, old: Mapping[str, Any], reason: str) -> Outcome:
        """Without an answer, work may be in progress: wait for the time that it is given, or leave it alone.

        One that is just being stopped, or crashes all the time, does not answer either: look at it some more first.
        """
        self._blind += 1
        left = self._left()
        if self._blind < (_BLIND_LOOKS_CRASHED if old["RestartCount"] else _BLIND_LOOKS):
            await asyncio.sleep(min(_BLIND_PAUSE_SECONDS, max(left, 0.0)))
            return "LookAgain"
        if self._order.on_timeout == "Wait":
            return StillBusy(old["Id"], f"it cannot be told whether work is in progress: {reason}")
        if left > 0:
            await asyncio.sleep(min(left, _BLIND_WAIT_SECONDS))
            return "LookAgain"
        return "Drained"

    def _over(self, old: Mapping[str, Any], report: RuntimeReport) -> Outcome:
        """Decide what follows when the time for work in progress is over.

        A wedged process had the same time to recover; waiting for its tasks any longer would keep out the cure.
        """
        if self._order.on_timeout == "Proceed" or report.state is RuntimeState.WEDGED:
            return "Drained"
        reason = f"work in progress did not end within {self._order.drain_timeout_seconds:g} s"
        return StillBusy(old["Id"], reason, report.active_tasks, report.oldest_task_seconds)
