"""Where every target stands against a release, and which of them may be replaced now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Spec
from controller.model.container import ContainerState
from controller.model.observed import Known
from controller.model.record import FailedTarget, ReleaseRecord
from controller.model.target import Phase, Target
from controller.plan.budget import allowed

PER_HOST_LIMIT = 4
"""Replacements under way on one engine at a time. Measured: more of them buy no time on an engine and lengthen
every single gap."""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A target that is not touched, and why.

    `reason` is what it makes of the rollout: TargetsHeld, ShapeUnsafe, RolloutFailed, TemplatesHeldBack and AwaitingDelivery where its
    template has no image that may go on, or Unknown where that cannot be read; None for a container that is no target of this object, because no listed
    template has an image for it.
    """

    target: Target
    cause: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why no target of a template goes on with a release."""

    cause: str
    reason: Reason


@dataclass(frozen=True)
class Fleet:
    """The targets of an object, each in exactly one bucket."""

    up_to_date: tuple[Target, ...]
    stale: tuple[Target, ...]
    """To be replaced; first those left in the middle by an interrupted pass, then idle ones, busy ones last."""
    unproven: tuple[Target, ...]
    """Run the wanted image but have not reported it: neither stale nor up to date."""
    untouched: tuple[LeftAlone, ...]
    """Do not run it and are left alone: held, pinned, unsafe to recreate, of a template that has no image of it."""

    @cached_property
    def ours(self) -> tuple[Target, ...]:
        """All targets that are ours to move."""
        return (*self.up_to_date, *self.stale, *self.unproven)

    @property
    def missed(self) -> tuple[LeftAlone, ...]:
        """Targets of this object that do not run the release because they may not be touched."""
        return tuple(left for left in self.untouched if left.reason is not None)

    @cached_property
    def failed(self) -> tuple[LeftAlone, ...]:
        """Those on which the release has failed while its waves go on."""
        return tuple(left for left in self.untouched if left.reason == Reason.ROLLOUT_FAILED)

    @cached_property
    def unseen(self) -> tuple[Target, ...]:
        """Those that stand for the targets of a host or namespace that is away."""
        return tuple(left.target for left in self.missed if left.target.is_unseen)

    @cached_property
    def counted(self) -> tuple[Target, ...]:
        """Those of ours that total and budget count: a stopped one is updated without being started or counted."""
        return tuple(target for target in self.ours if counts(target))

    @cached_property
    def proven(self) -> tuple[Target, ...]:
        """Those of the counted that have proven the release from inside."""
        return tuple(target for target in self.up_to_date if counts(target))

    @property
    def settled(self) -> bool:
        """Whether every target that is ours to move has proven the release; `missed` are not."""
        return not self.stale and not self.unproven


NOBODY: Mapping[str, LeftOut] = MappingProxyType({})
"""No template is left out."""


NONE_FAILED: Mapping[str, FailedTarget] = MappingProxyType({})


def sort_fleet(
    record: ReleaseRecord,
    targets: Iterable[Target],
    *,
    only_running: ReleaseRecord | None = None,
    left_out: Mapping[str, LeftOut] = NOBODY,
    failed: Mapping[str, FailedTarget] = NONE_FAILED,
) -> Fleet:
    """Sort `targets` against `record`; `left_out` are templates, by name, whose targets it does not reach.

    `failed` are targets, by id, on which it has failed already.

    With `only_running`, targets are stale only if they run an image of that (failed) release or stand in the
    middle of a replacement: a rollback moves nothing else, and other targets are in no bucket.
    """
    up_to_date, stale, unproven, untouched = [], [], [], []
    for target in targets:
        left = _left_alone(target, record, left_out) or _failed(target, failed)
        if _is_up_to_date(target, record):
            up_to_date.append(target)
        elif left is not None:
            untouched.append(left)
        elif _runs(target, record) and not target.in_transition:
            unproven.append(target)
        elif only_running is None or target.in_transition or _runs(target, only_running):
            stale.append(target)
    stale.sort(key=lambda target: (not target.in_transition, target.busy, target.id))
    return Fleet(tuple(up_to_date), tuple(stale), tuple(unproven), tuple(untouched))


def _left_alone(target: Target, record: ReleaseRecord, left_out: Mapping[str, LeftOut]) -> LeftAlone | None:
    if target.in_transition:  # what was begun is finished or undone, whatever else is true by now
        return None
    if target.is_unseen:
        return guarded(target, record.version)
    if target.template is None:
        return LeftAlone(target, target.template_unknown or "of no listed template")
    if (out := left_out.get(target.template)) is not None:
        return guarded(target, record.version) or LeftAlone(target, out.cause, out.reason)
    if image_of(record, target.template) is None:
        return LeftAlone(target, f"template {target.template} has no image of {record.version}")
    return guarded(target, record.version)


def _failed(target: Target, failed: Mapping[str, FailedTarget]) -> LeftAlone | None:
    failure = failed.get(target.id)
    if failure is None or target.in_transition:
        return None
    cause = f"{failure.message.rstrip('.')}; `wsr resume` tries it again"
    return LeftAlone(target, cause, Reason.ROLLOUT_FAILED)


def guarded(target: Target, version: str) -> LeftAlone | None:
    """Return why a target of ours may not go to `version`, None when it may."""
    if target.hold is not None:
        return LeftAlone(target, f"held: {target.hold}" if target.hold else "held", Reason.TARGETS_HELD)
    if target.pin is not None and target.pin != version:
        return LeftAlone(target, f"pinned to {target.pin}", Reason.TARGETS_HELD)
    if target.barred is not None:
        return LeftAlone(target, target.barred.cause, target.barred.reason)
    if target.shape_unsafe is not None:
        return LeftAlone(target, target.shape_unsafe, Reason.SHAPE_UNSAFE)
    return None


def image_of(record: ReleaseRecord, template: str | None) -> str | None:
    """Return the id of the image that `record` has for a template; None when it has none."""
    recorded = record.templates.get(template or "")
    return recorded.image_id if recorded is not None else None


def why_stale(target: Target, record: ReleaseRecord) -> str:
    """Return why a target is to be replaced: its version, or an image of that version that was built anew since."""
    if isinstance(target.running, Known) and target.reports(record.version, record.content_sha256):
        return f"it runs an earlier image of {record.version}"
    return f"it does not run {record.version}"


def _runs(target: Target, record: ReleaseRecord) -> bool:
    recorded = record.templates.get(target.template or "")
    return recorded is not None and target.image_id in recorded.digests


def _is_up_to_date(target: Target, record: ReleaseRecord) -> bool:
    if target.in_transition or not _runs(target, record):
        return False
    if not target.is_running:
        return True
    return isinstance(target.running, Known) and target.reports(record.version, record.content_sha256)


def may_go_now(
    spec: Spec, fleet: Fleet, *, ready: frozenset[str], in_flight: frozenset[str]
) -> Sequence[Target]:
    """Return the stale targets that may be replaced now, in order.

    `ready` and `in_flight` hold target ids: those that may be tried, and those being replaced. Replacing what is
    already unavailable, or finishing what was begun, costs no budget; what an interrupted pass left down uses it up.
    Busy targets begin only when no idle one is left or under way: they finish their work meanwhile.
    """
    down = in_flight | {target.id for target in fleet.stale if _switching(target)}
    counted = fleet.counted
    room = allowed(spec.rollout.max_unavailable, len(counted))
    room -= sum(1 for target in counted if target.id in down)
    under_way = Counter(engine_of(target) for target in in_flight)
    open_ = ready - in_flight
    waiting = [target for target in fleet.stale if target.id in open_]
    idle = [target for target in waiting if target.in_transition or not target.busy]
    idle_under_way = any(target.id in in_flight and not target.busy for target in fleet.stale)
    chosen: list[Target] = []
    for target in idle if idle or idle_under_way else waiting:
        free = _is_down(target)
        engine = engine_of(target.id)
        if (engine is None or under_way[engine] < PER_HOST_LIMIT) and (free or room > 0):
            chosen.append(target)
            under_way[engine] += 1
            room -= 0 if free else 1
    return chosen


def counts(target: Target) -> bool:
    """Whether total and budget count a target of ours: one that is stopped does not."""
    return target.is_running or _switching(target)


def engine_of(target: str) -> str | None:
    """Return the engine that replaces the target of this id; None for a workload: a cluster has nodes for all of them."""
    kind, engine, _ = target.split("/", 2)
    return engine if kind == "docker" else None


def _switching(target: Target) -> bool:
    return target.succession is not None and target.succession.phase is Phase.SWITCHING


def _is_down(target: Target) -> bool:
    """Whether nobody loses it by its replacement: stopped, left in the middle of a switch, or in a crash loop."""
    return not target.is_running or _switching(target) or target.state is ContainerState.RESTARTING
