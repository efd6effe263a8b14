"""The status of an object: what is true, and why, in the form that people, dashboards and tools read."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class StatusPart(BaseModel):
    """Base of all parts of the status: camelCase outside, frozen, tolerant of fields of other releases."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True, serialize_by_alias=True
    )


class Condition(StatusPart):
    """One condition, as the Kubernetes API conventions define it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: datetime
    observed_generation: int


class SourceStatus(StatusPart):
    """Which source the resolved version was built from; both None for an adopted version."""

    commit: str | None = None
    tree_sha256: str | None = None


class PackageStatus(StatusPart):
    """The artifacts of the resolved version."""

    version: str
    wheel_sha256: str
    content_sha256: str
    sdist_sha256: str | None = None
    published_time: datetime | None = None


class TemplateStatus(StatusPart):
    """One template's image; `image` is what new workspaces should use."""

    name: str
    state: Literal["Missing", "Unproven", "Proven", "UpdateAvailable", "HeldBack", "Untested", "Awaited"]
    """UpdateAvailable: proven, and a change that `rebuildOn` does not name would make another image. HeldBack: it failed and
    may, so the version goes on without it. Untested: there is no image to try the version on. Awaited: somebody else builds
    it."""
    reason: str = ""
    """Why the image was built; while an update is available: the change that would build another one; else what keeps it
    from going on."""
    before: str | None = None
    after: str | None = None
    message: str | None = None
    """What to do about an update that is available or a template that does not go on, or what cannot be known."""
    image: str | None = None
    previous_image: str | None = None
    base_digest: str | None = None
    boot_seconds: float | None = None
    """How long this version's candidate took at the gate until it was ready."""
    memory_bytes: int | None = None
    """What it used while it answered there."""
    update_available: str | None = None
    """The change that would make a new image if `rebuildOn` named it."""


class RolloutStatus(StatusPart):
    """Counts over all targets of the object."""

    wave: str = "everyone"
    started_time: datetime | None = None
    total: int = 0
    up_to_date: int = 0
    updating: int = 0
    busy: int = 0
    held: int = 0
    unknown: int = 0


class Straggler(StatusPart):
    """A target that does not run what was asked for, and why."""

    name: str
    where: str
    since: datetime
    why: str


class HistoryEntry(StatusPart):
    """One version that was asked for, and what became of it."""

    version: str
    verdict: Literal["Good", "Failed", "Superseded", "InProgress"]
    reason: str = ""
    started_time: datetime
    finished_time: datetime | None = None


class Status(StatusPart):
    """The whole status. It holds no time that changes without a change of state."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    resolved_version: str | None = None
    source: SourceStatus | None = None
    package: PackageStatus | None = None
    templates: tuple[TemplateStatus, ...] = ()
    rollout: RolloutStatus | None = None
    stragglers: tuple[Straggler, ...] = ()
    last_known_good: str | None = None
    held: str | None = None
    history: tuple[HistoryEntry, ...] = ()

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of this type, or None."""
        return next((condition for condition in self.conditions if condition.type == type_), None)

    def is_true(self, type_: str) -> bool:
        """Whether the condition of this type is present and True."""
        condition = self.condition(type_)
        return condition is not None and condition.status == "True"
