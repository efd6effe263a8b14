"""What a replacement is asked for and how it can end."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


class Boundary(enum.StrEnum):
    """Which side of a step an observer is told of."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class WantedImage:
    """What the new container runs.

    `reference` is what it is created from (`repo:<immutable tag>@sha256:…`, or a local reference in Engine mode);
    `image_id` is the config digest that the reference must mean in this engine; `version` and `content_sha256` are
    what its process must report.
    """

    reference: str
    image_id: str
    version: str
    content_sha256: str | None
    template: str


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """Bring the container `name` to `image`; without an image, only finish or undo what is under way there.

    `drain_timeout_seconds` is how long work in progress is waited for; then `on_timeout` decides: Wait leaves the
    target as it was, Proceed stops it. `start_deadline_seconds` runs from the start of the new process until it is
    proven. `stop_grace_seconds` is what the old process gets between SIGTERM and SIGKILL; None keeps the
    container's own stop timeout.
    """

    name: str
    image: WantedImage | None
    drain_timeout_seconds: float = 900.0
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    start_deadline_seconds: float = 1800.0
    stop_grace_seconds: int | None = None


class Cause(enum.StrEnum):
    """Why a replacement was undone."""

    EXITED = "Exited"
    """The new process ended before it was proven."""
    NEVER_READY = "NeverReady"
    """The new process did not report in time."""
    WRONG_VERSION = "WrongVersion"
    """The new process reports another version or content."""
    NOT_STARTED = "NotStarted"
    """The engine could not start the new container for a reason that lies in its image or configuration."""
    HOST = "Host"
    """A step failed for a reason outside the image: a port or name was taken, the engine refused."""
    BUSY = "Busy"
    """Work in progress did not end in time."""
    SUPERSEDED = "Superseded"
    """Another image is wanted by now, or none."""
    STOPPED_MEANWHILE = "StoppedMeanwhile"
    """Somebody stopped the old one before its successor took over."""

    @property
    def blames_image(self) -> bool:
        """Whether it speaks against the version, if it was witnessed."""
        return self in {Cause.EXITED, Cause.NEVER_READY, Cause.WRONG_VERSION, Cause.NOT_STARTED}


@dataclass(frozen=True, slots=True)
class Replaced:
    """The target runs the wanted image, proven from inside; or is stopped with it (`awaiting_first_start`).

    `changed` is False when nothing had to be done. `seconds_down` is the time from stopping the old process to the
    proof of the new one, 0.0 for a stopped target.
    """

    old_id: str
    new_id: str
    changed: bool = True
    awaiting_first_start: bool = False
    seconds_down: float = 0.0


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The old container is back as it was.

    `witnessed` says whether this action itself started the new process and saw it fail while the engine stayed
    reachable. Only then, and only for causes that blame the image, does it count against the version: what an
    interrupted action left and a later pass undid does not. `log_tail` are the failed container's last lines (at
    most 20), values of its secret-looking variables blanked.
    """

    old_id: str
    cause: Cause
    message: str
    witnessed: bool
    log_tail: tuple[str, ...] = ()
    seconds_down: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether the version is to blame."""
        return self.witnessed and self.cause.blames_image


@dataclass(frozen=True, slots=True)
class StillBusy:
    """The target had work in progress (or could not tell) when the drain ended, and was left as it was, serving."""

    old_id: str
    reason: str
    active_tasks: int | None = None
    oldest_task_seconds: float | None = None


ReplaceResult = Replaced | RolledBack | StillBusy

StepObserver = Callable[[str, Boundary], None]
"""Told the name of every step before and after it is done; for progress, telemetry and tests that crash there."""
