"""Asks a new process what it runs until it answers: the proof that a replacement waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from controller.act._pace import poll_pause
from controller.clients.workspace import Place, Workspaces
from controller.model.create_spec import Succeeds
from controller.model.observed import Known, Observed
from controller.model.replacement import Cause
from controller.model.running import RuntimeReport, RuntimeState
from controller.plan.replacement import Failure

_LOOK_AGAIN_SECONDS: Final = 0.25
_EXEC_PAUSE_SECONDS: Final = 3.0

Outcome = Literal["Proven", "LookAgain"] | Failure


class Proving:
    """The proof of one new container, which may take several looks at it."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._since: float | None = None
        self._exec_time = 0.0

    async def go_on(self, new: Mapping[str, Any], wanted: Succeeds) -> Outcome:
        """Ask `new` (an inspection) until it answers, or until it is time to look at its container again."""
        place = Place.of_inspection(new)
        begun = time.monotonic()
        self._since = self._since or begun
        while time.monotonic() - begun < _LOOK_AGAIN_SECONDS:
            by_exec = self._exec_is_due(place)
            outcome = _weigh(await self._workspaces.report(place, by_exec=by_exec), wanted)
            if outcome != "LookAgain":
                return outcome
            await asyncio.sleep(poll_pause(self._since))
        return "LookAgain"

    def _exec_is_due(self, place: Place) -> bool:
        """An exec costs the starting process its processor time, so it comes late where HTTP may still answer."""
        since = max(self._exec_time, (self._since or 0.0) if self._workspaces.reaches(place) else 0.0)
        if time.monotonic() - since < _EXEC_PAUSE_SECONDS:
            return False
        self._exec_time = time.monotonic()
        return True


def _weigh(observed: Observed[RuntimeReport], wanted: Succeeds) -> Outcome:
    if not isinstance(observed, Known):
        return "LookAgain"
    report = observed.value
    if not report.is_version(wanted.version, wanted.content_sha256):
        message = (
            f"The new container reports {report.package} {report.version} with content {report.content_sha256}, "
            f"not {wanted.version} with {wanted.content_sha256}."
        )
        return Failure(Cause.WRONG_VERSION, message)
    return "LookAgain" if report.state in {RuntimeState.STARTING, RuntimeState.WEDGED} else "Proven"
