"""What the engine shows of a container and its successor, as one look finds them. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.model.container import ContainerState
from controller.model.create_spec import CreateRecord, RestartPolicy, Succeeds

_STOPPED_CODES = frozenset({0, 128 + signal.SIGKILL, 128 + signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class Member:
    """One container of a unit, as inspected. Times are aware UTC; None means never."""

    id: str
    name: str
    state: ContainerState
    image_id: str
    policy: RestartPolicy
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restart_count: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""

    @property
    def ended_from_outside(self) -> bool:
        """Whether it ended as one that was told to: by its engine, which stopped or was started anew, or by a person.

        A runtime ends with 0 on SIGTERM and never else; no first process of a container gets a signal from itself.
        """
        told_to = self.exit_code in _STOPPED_CODES and not (self.oom_killed or self.error)
        return self.state.has_ended and told_to

    @classmethod
    def of(cls, inspection: Mapping[str, Any]) -> Member:
        """Return the member that an inspection shows."""
        state = inspection["State"]
        return cls(
            id=inspection["Id"],
            name=inspection["Name"].removeprefix("/"),
            state=ContainerState(state["Status"]),
            image_id=inspection["Image"],
            policy=RestartPolicy.of(inspection["HostConfig"]["RestartPolicy"]),
            started_at=_time(state["StartedAt"]),
            finished_at=_time(state["FinishedAt"]),
            restart_count=inspection["RestartCount"],
            exit_code=state["ExitCode"],
            oom_killed=bool(state.get("OOMKilled")),
            error=state["Error"],
        )


def _time(text: str) -> datetime | None:
    """Return the engine's time, which has nanoseconds; the year 1 is its word for never."""
    if text.startswith("0001-"):
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", text))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine shows of a unit now. `record` is the label of `new`; both or neither exist."""

    name: str
    old: Member | None
    new: Member | None = None
    record: CreateRecord | None = None
    foreign_id: str | None = None
    orphan_id: str | None = None
    to_disconnect: str | None = None
    to_connect: tuple[str, ...] = ()

    @property
    def succeeds(self) -> Succeeds:
        """What the successor was created for."""
        if self.record is None or self.record.succeeds is None:
            raise ValueError(f"{self.name} has no successor with a record")
        return self.record.succeeds
