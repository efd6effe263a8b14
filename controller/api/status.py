"""The status of an object: what is true, and why, in the form that people, dashboards and tools read."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, computed_field
from pydantic.alias_generators import to_camel

_PROGRESS: Final = "Those up to date of all that count, as 8/10; ?/10 while no target can be asked."


class StatusPart(BaseModel):
    """Base of all parts of the status: camelCase outside, frozen, tolerant of fields of other releases."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class Condition(StatusPart):
    """One condition, as the Kubernetes API conventions define it."""

    type: str
    """What it is about: Ready is the summary of the others."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so; Unknown is neither."""
    reason: str
    """Why, as one word of a fixed vocabulary: what alerts and scripts match on."""
    message: str
    """Why, for people, with what to do next where somebody must do something."""
    last_transition_time: datetime
    """When `status` changed last."""
    observed_generation: int
    """The generation of the object that it was judged for."""


class SourceStatus(StatusPart):
    """Which source the resolved version was built from; both absent for an adopted version."""

    commit: str | None = None
    """The commit that was checked out."""
    tree_sha256: str | None = None
    """The SHA-256 over the files of the source, which a build is known by."""


class PackageStatus(StatusPart):
    """The artifacts of the resolved version."""

    version: str
    """The version, as the index has it."""
    wheel_sha256: str
    """The SHA-256 of the wheel's file."""
    content_sha256: str
    """The SHA-256 over the runtime's files in the wheel, which every target must report from inside."""
    sdist_sha256: str | None = None
    """The SHA-256 of the source distribution's file."""
    published_time: datetime | None = None
    """When the index was seen to serve it first; absent: it does not yet."""


class TemplateStatus(StatusPart):
    """One template's image; `image` is what new workspaces should use."""

    name: str
    """The template's name in the document."""
    state: Literal["Missing", "Unproven", "Proven", "UpdateAvailable", "HeldBack", "Untested", "Awaited"]
    """UpdateAvailable: proven, and a change that `rebuildOn` does not name would make another image. HeldBack: it failed and
    may, so the version goes on without it. Untested: there is no image to try the version on. Awaited: somebody else builds
    it."""
    reason: str = ""
    """Why the image was built; while an update is available: the change that would build another one; else what keeps it
    from going on."""
    before: str | None = None
    """What the change is from, where `reason` names one."""
    after: str | None = None
    """What the change is to."""
    message: str | None = None
    """What to do about an update that is available or a template that does not go on, or what cannot be known."""
    image: str | None = None
    """What new workspaces should use: a tag that is never set anew."""
    previous_image: str | None = None
    """The image of the version that was in use before this one."""
    base_digest: str | None = None
    """The digest of the image that its full build starts from."""
    boot_seconds: float | None = None
    """How long this version's candidate took at the gate until it was ready."""
    memory_bytes: int | None = None
    """What it used while it answered there."""
    update_available: str | None = None
    """The change that would make a new image if `rebuildOn` named it."""


class RolloutStatus(StatusPart):
    """Counts over all targets of the object."""

    plan_hash: str | None = None
    """The hash of what is rolled in which waves; a wave that was through with another one is not through with this."""
    wave: str = "everyone"
    """Which targets go now, beside those of the waves before."""
    started_time: datetime | None = None
    """When the first of them went."""
    wave_proven_time: datetime | None = None
    """Since when all of the wave have proven it; the next one begins when they have soaked."""
    total: int = 0
    """Those that are ours to move and have a process; what is stopped is updated without being counted."""
    up_to_date: int | None = 0
    """Those that report version and content digest from inside; absent while no target can be asked."""
    updating: int = 0
    """Those being replaced now."""
    busy: int = 0
    """Those whose work in progress is waited for."""
    held: int = 0
    """Those that somebody holds or pins, or whose shape forbids replacing them."""
    unreachable: int = 0
    """Hosts and namespaces whose targets cannot be seen, and are in no other number."""
    failed: int = 0
    """Those on which the version failed while its waves go on: each is back on its old image, and not in `total`."""
    unknown: int = 0
    """Those that could not be asked."""

    @computed_field(description=_PROGRESS)  # type: ignore[prop-decorator]
    @property
    def progress(self) -> str:
        """Those up to date of all that count, as 8/10: a column of `kubectl get` shows one field."""
        return f"{'?' if self.up_to_date is None else self.up_to_date}/{self.total}"


class Straggler(StatusPart):
    """A target that does not run what was asked for, and why."""

    name: str
    """The target's name, as `wsr why` takes it."""
    where: str
    """The host or namespace that it is in."""
    since: datetime
    """Since when it is so."""
    why: str
    """What keeps it from running what was asked for."""


class HistoryEntry(StatusPart):
    """One version that was asked for, and what became of it."""

    version: str
    """The version that was asked for."""
    verdict: Literal["Good", "Failed", "Superseded", "InProgress"]
    """Good: every target that may be moved has proven it. Superseded: another version was asked for before that."""
    reason: str = ""
    """Why it failed."""
    started_time: datetime
    """When it was asked for."""
    finished_time: datetime | None = None
    """When the verdict fell."""


class Status(StatusPart):
    """The whole status. It holds no time that changes without a change of state."""

    observed_generation: int = 0
    """The generation of the object that all of this was found for."""
    conditions: tuple[Condition, ...] = ()
    """Ready, and what it sums up; Reconciling and Stalled are present only while they are true."""
    resolved_version: str | None = None
    """The version that the document asks for, once it is known what it is."""
    source: SourceStatus | None = None
    package: PackageStatus | None = None
    templates: tuple[TemplateStatus, ...] = ()
    rollout: RolloutStatus | None = None
    stragglers: tuple[Straggler, ...] = ()
    """The first targets that do not run what was asked for; `rollout` counts them all."""
    last_known_good: str | None = None
    """The version that a failed one is rolled back to."""
    held: str | None = None
    """Why nothing goes on: a person or a guard said stop."""
    history: tuple[HistoryEntry, ...] = ()
    """The last versions that were asked for, newest first."""
    awaiting_approval: str | None = None
    """The hash of what waits for `wsr approve`; absent: nothing does."""
    last_handled_reconcile_at: str | None = None
    """The last value of annotation `runtime.molecule.ai/requested-at` that was answered by looking anew."""
    last_handled_resume: str | None = None
    """The last value of annotation `runtime.molecule.ai/resume` that was taken up: the version goes on since then."""
    last_handled_rollback: str | None = None
    """The last value of annotation `runtime.molecule.ai/rollback-to` that was taken up: targets return since then."""
    rollback_refused: str | None = None
    """Why what that annotation asks for now cannot be done."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of this type, or None."""
        return next((condition for condition in self.conditions if condition.type == type_), None)

    def is_true(self, type_: str) -> bool:
        """Whether the condition of this type is present and True."""
        condition = self.condition(type_)
        return condition is not None and condition.status == "True"
