"""What a workspace says of itself from inside: the only proof that counts."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class RuntimeState(enum.StrEnum):
    """The runtime's own words, and UNREPORTED for a runtime that predates `/runtime`."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    WEDGED = "wedged"
    UNREPORTED = "unreported"


@dataclass(frozen=True, slots=True)
class RuntimeReport:
    """What a running workspace reports.

    A runtime that predates `/runtime` is known by its package metadata only: `content_sha256`, `active_tasks` and
    `queued_tasks` are None and `state` is UNREPORTED. `started_at` is aware UTC. `drain_signal` names the signal on which
    it drains, None where there is none.
    """

    package: str
    version: str
    content_sha256: str | None
    state: RuntimeState
    active_tasks: int | None = None
    queued_tasks: int | None = None
    oldest_task_seconds: float | None = None
    commit: str | None = None
    adapter: str | None = None
    started_at: datetime | None = None
    drain_signal: str | None = None

    def is_version(self, version: str, content_sha256: str | None) -> bool:
        """Whether this process runs exactly that version and content; an expected content that is not reported is a no."""
        return self.version == version and (content_sha256 is None or self.content_sha256 == content_sha256)

    @property
    def idle(self) -> bool | None:
        """Whether nothing is under way; None when the runtime does not tell."""
        if self.active_tasks is None:
            return None
        return self.active_tasks + (self.queued_tasks or 0) == 0
