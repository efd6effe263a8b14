"""Where every target stands against a release, and which of them may be replaced now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.api.v1alpha1 import Spec
from controller.model.container import ContainerState
from controller.model.observed import Known
from controller.model.record import ReleaseRecord
from controller.model.target import Phase, Target
from controller.plan.budget import allowed

PER_HOST_LIMIT = 4
"""Replacements under way on one engine at a time. Measured: more of them buy no time on an engine and lengthen
every single gap."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The targets of an object, each in exactly one bucket."""

    up_to_date: tuple[Target, ...]
    stale: tuple[Target, ...]
    """To be replaced; first those left in the middle by an interrupted pass, then idle ones, busy ones last."""
    unproven: tuple[Target, ...]
    """Run the wanted image but have not reported it: neither stale nor up to date."""
    untouched: tuple[tuple[Target, str], ...]
    """Left alone, each with its cause: held, pinned, unsafe to recreate, of an unknown template."""

    @property
    def ours(self) -> tuple[Target, ...]:
        """All targets that are ours to move."""
        return (*self.up_to_date, *self.stale, *self.unproven)

    @property
    def counted(self) -> tuple[Target, ...]:
        """Those of ours that total and budget count: a stopped one is updated without being started or counted."""
        return tuple(target for target in self.ours if _counts(target))

    @property
    def proven(self) -> tuple[Target, ...]:
        """Those of the counted that have proven the release from inside."""
        return tuple(target for target in self.up_to_date if _counts(target))

    @property
    def settled(self) -> bool:
        """Whether every target that is ours to move has proven the release."""
        return not self.stale and not self.unproven


def sort_fleet(
    record: ReleaseRecord, targets: Iterable[Target], *, only_running: ReleaseRecord | None = None
) -> Fleet:
    """Sort `targets` against `record`.

    With `only_running`, targets are stale only if they run an image of that (failed) release or stand in the
    middle of a replacement: a rollback moves nothing else, and other targets are in no bucket.
    """
    up_to_date, stale, unproven, untouched = [], [], [], []
    for target in targets:
        cause = _left_alone(target, record)
        if cause is not None:
            untouched.append((target, cause))
        elif _is_up_to_date(target, record):
            up_to_date.append(target)
        elif _runs(target, record) and not target.in_transition:
            unproven.append(target)
        elif only_running is None or target.in_transition or _runs(target, only_running):
            stale.append(target)
    stale.sort(key=lambda target: (not target.in_transition, target.busy, target.id))
    return Fleet(tuple(up_to_date), tuple(stale), tuple(unproven), tuple(untouched))


def _left_alone(target: Target, record: ReleaseRecord) -> str | None:
    if target.in_transition and target.template in record.templates:
        return None
    if target.hold is not None:
        return f"held: {target.hold}"
    if target.pin is not None and target.pin != record.version:
        return f"pinned to {target.pin}"
    if target.shape_unsafe is not None:
        return target.shape_unsafe
    if target.template is None:
        return target.template_unknown or "of no listed template"
    if target.template not in record.templates or record.templates[target.template].image_id is None:
        return f"template {target.template} has no image of {record.version}"
    return None


def _runs(target: Target, record: ReleaseRecord) -> bool:
    recorded = record.templates.get(target.template or "")
    return recorded is not None and target.image_id == recorded.image_id


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
    room = allowed(spec.rollout.max_unavailable, len(fleet.counted))
    room -= sum(1 for target in fleet.counted if target.id in down)
    places = PER_HOST_LIMIT - len(in_flight)
    waiting = [target for target in fleet.stale if target.id in ready - in_flight]
    idle = [target for target in waiting if target.in_transition or not target.busy]
    idle_under_way = any(target.id in in_flight and not target.busy for target in fleet.stale)
    chosen: list[Target] = []
    for target in idle if idle or idle_under_way else waiting:
        free = _is_down(target)
        if len(chosen) < places and (free or room > 0):
            chosen.append(target)
            room -= 0 if free else 1
    return chosen


def _switching(target: Target) -> bool:
    return target.succession is not None and target.succession.phase is Phase.SWITCHING


def _counts(target: Target) -> bool:
    return target.is_running or _switching(target)


def _is_down(target: Target) -> bool:
    """Whether nobody loses it by its replacement: stopped, left in the middle of a switch, or in a crash loop."""
    return not target.is_running or _switching(target) or target.state is ContainerState.RESTARTING
