"""What would happen, and why, if the loop ran now: the whole way, not only the next step. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import Rollout, WorkspaceRuntime
from controller.model.actions import OldCandidate
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.plan.fleet import Fleet, guarded, sort_fleet
from controller.plan.gate import has_failed
from controller.plan.prune import old_candidates
from controller.plan.starting import approval_hash
from controller.plan.state import Absent, Blocked, Held, Released, State, Unproven, Unpublished, UpToDate
from controller.plan.steering import unmatched
from controller.plan.template_preview import TemplatePreview, preview_template
from controller.plan.waves import EVERYONE, assigned


@dataclass(frozen=True, slots=True)
class Preview:
    """The answer of `wsr plan`. `hash` names exactly this plan; `unknown` says which sources could not be read."""

    version: str
    state: str
    publish: bool
    templates: tuple[TemplatePreview, ...]
    waves: tuple[tuple[str, tuple[str, ...]], ...]
    """The targets that would be replaced, by wave, in the order of the waves."""
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
    blocked: str | None = None
    """What cannot be read or tried, so that nothing of the version goes on before it can be; None where nothing stops it."""
    missing: tuple[str, ...] = ()
    """What an action on the way would not find, each with the cure: a Secret, a token. Whoever reads these says so."""
    yanked: bool = False
    """Whether the version would be adopted although it was yanked on the index: because exactly it is asked for."""
    rollout: str = ""
    """How targets are replaced, as JSON."""
    past_gate: str | None = None
    """The hash of what would be approved; None before all of that exists."""
    awaits_approval: bool = False
    """Whether somebody has to approve it before it goes out."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that would be replaced, in the order of the waves."""
        return tuple(target for _, targets in self.waves for target in targets)

    @property
    def hash(self) -> str:
        """The SHA-256, in hex, of what would be built, by whom, published and rolled, and how; who is busy does not change it.

        Once all is built and proven, it is the one that `wsr approve` takes.
        """
        if self.past_gate is not None:
            return self.past_gate
        content = [
            self.version,
            self.publish,
            [(each.name, each.strategy, each.told, each.build, each.reason) for each in self.templates],
            self.waves,
            self.rollout,
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
            "waves": [{"name": name, "targets": list(targets)} for name, targets in self.waves],
            "awaitsApproval": self.awaits_approval,
            "busy": list(self.busy),
            "adopts": list(self.adopts),
            "untouched": [{"name": name, "why": why} for name, why in self.untouched],
            "held": self.held,
            "blocked": self.blocked,
            "missing": list(self.missing),
            "yanked": self.yanked,
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
    stale, untouched = _targets(document, observation, record, state)
    back = state.fleet.stale if isinstance(state, Held) and state.fleet is not None else ()
    moves = back if held else stale
    past_gate = None
    if record is not None and isinstance(state, Released | Unpublished):
        past_gate = approval_hash(document, record)
    asks = document.spec.rollout.approval == "Required" and not isinstance(state, Held | UpToDate)
    return Preview(
        version=document.spec.version,
        state=type(state).__name__,
        publish=not held
        and _blocked(state) is None
        and (record is None or record.published_time is None)
        and not _served(state)
        and document.spec.package.publish == "Operator",
        templates=tuple(
            preview_template(document, template, observation, record, held=held)
            for template in document.spec.templates
        ),
        waves=_waves(
            document, Rollout() if held else document.spec.rollout, moves, _ranked(observation, state)
        ),
        busy=tuple(target.id for target in moves if target.busy),
        adopts=tuple(target.id for target in moves if not target.has_create_spec),
        untouched=untouched,
        held=state.message if isinstance(state, Held) else None,
        unmatched=unmatched(document, observation.targets.value)
        if isinstance(observation.targets, Known)
        else (),
        unknown=tuple(f"{name}: {unread.reason}" for name, unread in observation.unknown.items()),
        expected_seconds=_expected_seconds(history),
        prunes=() if held else _prunes(document, observation, now),
        blocked=_blocked(state),
        yanked=isinstance(state, Absent) and state.release is not None and state.release.yanked,
        rollout=document.spec.rollout.model_dump_json(),
        past_gate=past_gate,
        awaits_approval=asks and (past_gate is None or past_gate != document.metadata.approved),
    )


def _ranked(observation: Observation, state: State) -> tuple[Target, ...]:
    """Return the targets that percentages of waves count, before a version is public as far as they are known."""
    if isinstance(state, Released):
        return state.fleet.ours
    return observation.targets.value if isinstance(observation.targets, Known) else ()


def wave_of(document: WorkspaceRuntime, observation: Observation, state: State, target: Target) -> str:
    """Return the name of the wave that `target` goes in."""
    rollout = document.spec.rollout
    others = (each for each in _ranked(observation, state) if each.id != target.id)
    return assigned(rollout, (*others, target), document.spec.version)[target.id]


def _waves(
    document: WorkspaceRuntime, rollout: Rollout, moves: Sequence[Target], base: Sequence[Target]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return who of `moves` goes in which wave; a rollback goes in none."""
    waves = assigned(rollout, base, document.spec.version)
    names = [wave.name for wave in rollout.waves] or [EVERYONE]
    return tuple(
        (name, tuple(target.id for target in moves if waves.get(target.id, names[-1]) == name))
        for name in names
    )


def _blocked(state: State) -> str | None:
    """Return why the version does not go on from here, where it is not held."""
    if isinstance(state, Blocked):
        return f"The {state.source} cannot be read: {state.message}"
    if isinstance(state, Unproven) and state.untested:
        return " ".join(state.untested.values())
    return None


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


def _targets(
    document: WorkspaceRuntime, observation: Observation, record: ReleaseRecord | None, state: State
) -> tuple[tuple[Target, ...], tuple[tuple[str, str], ...]]:
    if isinstance(observation.targets, Unknown):
        return (), ()
    if isinstance(state, Released):
        return _of_fleet(state.fleet)
    targets = observation.targets.value
    made: tuple[Target, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    names = {template.name for template in document.spec.templates}
    if record is not None and record.templates:
        failed = [each.name for each in document.spec.templates if has_failed(each, record)]
        awaited = {each.name for each in document.spec.templates if not each.build.ours}
        names = awaited - record.templates.keys() - set(failed)
        others = [target for target in targets if target.template not in names]
        made, left = _of_fleet(sort_fleet(record.without(failed), others))
        targets = tuple(target for target in targets if target.template in names)
    moving = []
    for target in targets:
        guard = guarded(target, document.spec.version)
        if target.template not in names:
            left = (*left, (target.id, target.template_unknown or "of no listed template"))
        elif guard is not None:
            left = (*left, (target.id, guard.cause))
        else:
            moving.append(target)
    return (*made, *sorted(moving, key=lambda target: (target.busy, target.id))), left


def _of_fleet(fleet: Fleet) -> tuple[tuple[Target, ...], tuple[tuple[str, str], ...]]:
    return fleet.stale, tuple((left.target.id, left.cause) for left in fleet.untouched)


def _expected_seconds(history: Iterable[HistoryEntry]) -> float | None:
    """Return how long the last release that reached everyone took; None before there was one."""
    for entry in history:
        if entry.verdict == "Good" and entry.finished_time is not None:
            return round((entry.finished_time - entry.started_time).total_seconds(), 1)
    return None
