"""What would happen, and why, if the loop ran now: the whole way, not only the next step. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.api.conditions import Reason
from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import OldCandidate
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.plan.changes import change_of, changes_of, cure_of, question_of, update_of
from controller.plan.changes.change import Change
from controller.plan.fleet import guarded, sort_fleet
from controller.plan.gate import has_failed, stays_behind, to_mend
from controller.plan.prune import old_candidates
from controller.plan.state import Absent, Held, State
from controller.plan.steering import unmatched


@dataclass(frozen=True, slots=True)
class TemplatePreview:
    """Whether a template's image is built, why, and what was and will be in it.

    `update` is a change that is not built because `rebuildOn` does not name it, `cure` what to do about that.
    """

    name: str
    build: bool
    reason: str
    before: str | None
    after: str | None
    update: Change | None = None
    cure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        facts = {"name": self.name, "build": self.build, "reason": self.reason}
        told = {"before": self.before, "after": self.after}
        return {**facts, **told, "updateAvailable": self._update_to_json()}

    def _update_to_json(self) -> dict[str, Any] | None:
        if self.update is None:
            return None
        change = {"reason": self.update.reason, "before": self.update.before, "after": self.update.after}
        return {**change, "cure": self.cure}


@dataclass(frozen=True, slots=True)
class Preview:
    """The answer of `wsr plan`. `hash` names exactly this plan; `unknown` says which sources could not be read."""

    version: str
    state: str
    publish: bool
    templates: tuple[TemplatePreview, ...]
    targets: tuple[str, ...]
    busy: tuple[str, ...]
    adopts: tuple[str, ...]
    untouched: tuple[tuple[str, str], ...]
    held: str | None
    """Why nothing of the version goes on; None when it does."""
    unmatched: tuple[str, ...]
    """Names in the object's holds and pins that no target has."""
    unknown: tuple[str, ...]
    expected_seconds: float | None
    prunes: tuple[OldCandidate, ...] = ()
    """The candidates that would be deleted once the object is up to date."""

    @property
    def hash(self) -> str:
        """The SHA-256, in hex, of what would be built, published and rolled; who is busy does not change it."""
        content = [
            self.version,
            self.publish,
            [(entry.name, entry.build, entry.reason) for entry in self.templates],
            self.targets,
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        return {
            "hash": self.hash,
            "version": self.version,
            "state": self.state,
            "publish": self.publish,
            "templates": [entry.to_json() for entry in self.templates],
            "waves": [{"name": "everyone", "targets": list(self.targets)}],
            "busy": list(self.busy),
            "adopts": list(self.adopts),
            "untouched": [{"name": name, "why": why} for name, why in self.untouched],
            "held": self.held,
            "unmatched": list(self.unmatched),
            "unknown": list(self.unknown),
            "expectedSeconds": self.expected_seconds,
            "prunes": [{"image": old.image, "reason": old.reason} for old in self.prunes],
        }


def preview(
    document: WorkspaceRuntime,
    observation: Observation,
    state: State,
    history: Iterable[HistoryEntry],
    *,
    now: datetime,
) -> Preview:
    """Return what the loop would do from `state` on, given what was observed; `now` is aware UTC."""
    record = _record(document, observation, state)
    held = isinstance(state, Held)
    stale, untouched = _targets(document, observation, record)
    back = state.fleet.stale if isinstance(state, Held) and state.fleet is not None else ()
    moves = back if held else stale
    return Preview(
        version=document.spec.version,
        state=type(state).__name__,
        publish=not held
        and (record is None or record.published_time is None)
        and not _served(state)
        and document.spec.package.publish == "Operator",
        templates=tuple(
            _template(document, template, observation, record, held=held)
            for template in document.spec.templates
        ),
        targets=tuple(target.id for target in moves),
        busy=tuple(target.id for target in moves if target.busy),
        adopts=tuple(target.id for target in moves if not target.has_create_spec),
        untouched=untouched,
        held=state.message if isinstance(state, Held) else None,
        unmatched=unmatched(document, observation.targets.value)
        if isinstance(observation.targets, Known)
        else (),
        unknown=tuple(_unknown(observation)),
        expected_seconds=_expected_seconds(history),
        prunes=() if held else _prunes(document, observation, now),
    )


def _record(document: WorkspaceRuntime, observation: Observation, state: State) -> ReleaseRecord | None:
    if isinstance(state, Absent) or isinstance(observation.records, Unknown):
        return None
    return observation.records.value.get(document.spec.version)


def _prunes(document: WorkspaceRuntime, observation: Observation, now: datetime) -> tuple[OldCandidate, ...]:
    if isinstance(observation.records, Unknown) or isinstance(observation.targets, Unknown):
        return ()
    return old_candidates(document, observation.records.value, observation.targets.value, now)


def _served(state: State) -> bool:
    return isinstance(state, Absent) and state.release is not None


def _template(
    document: WorkspaceRuntime,
    template: Template,
    observation: Observation,
    record: ReleaseRecord | None,
    *,
    held: bool,
) -> TemplatePreview:
    behind = (
        stays_behind(document, template, record, observation) if record is not None and not held else None
    )
    question = question_of(document, template, record, observation)
    untold = record is not None and isinstance(observation.images, Unknown)
    unbuilt = behind is not None and behind.reason == Reason.BUILD_FAILED
    asked = template if behind is None else to_mend(template)
    changes = () if untold or unbuilt else changes_of(asked, question)
    change, update = change_of(changes), update_of(changes)
    if behind is not None and (change is None or not change.builds):
        return TemplatePreview(template.name, build=False, reason="HeldBack", before=None, after=None)
    return TemplatePreview(
        template.name,
        build=change is not None and change.builds and not held,
        reason=change.reason if change else "UpToDate",
        before=change.before if change else None,
        after=change.after if change else None,
        update=update,
        cure=cure_of(template, update) if update else None,
    )


def _targets(
    document: WorkspaceRuntime, observation: Observation, record: ReleaseRecord | None
) -> tuple[tuple[Target, ...], tuple[tuple[str, str], ...]]:
    if isinstance(observation.targets, Unknown):
        return (), ()
    if record is not None and record.templates:
        failed = [each.name for each in document.spec.templates if has_failed(each, record)]
        fleet = sort_fleet(record.without(failed), observation.targets.value)
        return fleet.stale, tuple((left.target.id, left.cause) for left in fleet.untouched)
    names = {template.name for template in document.spec.templates}
    moving, untouched = [], []
    for target in observation.targets.value:
        guard = guarded(target, document.spec.version)
        if target.template not in names:
            untouched.append((target.id, target.template_unknown or "of no listed template"))
        elif guard is not None:
            untouched.append((target.id, guard.cause))
        else:
            moving.append(target)
    return tuple(sorted(moving, key=lambda target: (target.busy, target.id))), tuple(untouched)


def _unknown(observation: Observation) -> Iterable[str]:
    for name, source in (
        ("source", observation.source),
        ("package index", observation.index),
        ("release records", observation.records),
        ("images", observation.images),
        ("targets", observation.targets),
    ):
        if isinstance(source, Unknown):
            yield f"{name}: {source.reason}"
    for name, base in observation.bases.items():
        if isinstance(base, Unknown):
            yield f"base image {name}: {base.reason}"
    for reference, cause in sorted(observation.unread.items()):
        yield f"image {reference}: {cause.reason}"
    for image, labels in observation.labels.items():
        if isinstance(labels, Unknown):
            yield f"labels of image {image}: {labels.reason}"


def _expected_seconds(history: Iterable[HistoryEntry]) -> float | None:
    """Return how long the last release that reached everyone took; None before there was one."""
    for entry in history:
        if entry.verdict == "Good" and entry.finished_time is not None:
            return round((entry.finished_time - entry.started_time).total_seconds(), 1)
    return None
