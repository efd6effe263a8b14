"""What each state asks for, action by action; which of it may go now is decided elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import (
    Action,
    Adopt,
    Cascade,
    Judge,
    Package,
    Probe,
    Promote,
    Publish,
    Replace,
    Tag,
)
from controller.model.observed import Observed, Unknown
from controller.model.plan import Failure, Progress
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.wave import Turn
from controller.plan.delivery import deliver, undelivered
from controller.plan.fleet import Fleet, image_of, why_stale
from controller.plan.state import (
    Absent,
    Blocked,
    Contested,
    Held,
    Released,
    Stale,
    State,
    Unbuilt,
    Undelivered,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
)


def wanted_in(
    document: WorkspaceRuntime, state: State, turn: Turn | None = None, *, stopped: bool = False
) -> list[Action]:
    """Return all that is to be done in `state`, whether or not it may go now.

    `turn` is how far its waves have come; while it is `stopped`, what was begun ends with what it was begun with.
    """
    match state:
        case Blocked() | Contested() | UpToDate():
            return []
        case Held():
            return _rollback(document, state)
        case Absent():
            return _obtain(document, state)
        case Unbuilt(record=record, builds=builds):
            return list(Cascade(record.version, record.wheel.sha256, builds, "").parts)
        case Unproven(record=record, templates=templates):
            return [_probe(document, record, template) for template in templates]
        case Unpublished(record=record, untagged=untagged):
            return _publication(record, untagged)
        case Stale() | Unpromoted() | Undelivered():
            return [
                *deliver(state.record, state.outstanding.deliveries),
                *_rest(state, turn, stopped=stopped),
            ]


def _rest(state: Stale | Unpromoted | Undelivered, turn: Turn | None, *, stopped: bool) -> Sequence[Action]:
    """Return what is to be done beside taking over what somebody else delivered."""
    reason = "every target has proven the release"
    match state:
        case Stale(record=record, fleet=fleet, templates=templates, moves=moves):
            replacements = _replacements(record, fleet, turn=turn, stopped=stopped)
            if turn is None or not turn.promotes or not templates:
                return replacements
            early = "the waves that its moving tags wait for have proven the release"
            return [Promote(record.version, templates, early, moves), *replacements]
        case Unpromoted(record=record, templates=(), moves=()):
            images = sorted(image.identity for image in record.templates.values())
            return [Judge(record.version, reason, tuple(images))]
        case Unpromoted(record=record, templates=templates, moves=moves):
            return [Promote(record.version, templates, reason, moves)]
        case Undelivered():
            return []


def _obtain(document: WorkspaceRuntime, state: Absent) -> list[Action]:
    version = document.spec.version
    if state.release is not None:
        return [Adopt(version, "the index already serves this version")]
    if document.spec.package.publish == "External":
        return []
    return [Package(version, state.tree_sha256 or "", "no record and no index has this version")]


def _probe(document: WorkspaceRuntime, record: ReleaseRecord, template: str) -> Probe:
    ours = template not in {each.name for each in document.spec.templates if not each.build.ours}
    image = (record.templates if ours else record.shadows)[template]
    reason = (
        "its image has not been proven" if ours else "no image that somebody else builds can be proven yet"
    )
    return Probe(record.version, template, image.identity, reason)


def standing_in(document: WorkspaceRuntime, state: State, now: datetime) -> list[tuple[Action, Failure]]:
    """Return what cannot go on before somebody else does something, each with the action that it would be."""
    if isinstance(state, Unproven):
        version = document.spec.version
        return [
            (Probe(version, name, "", "nothing to try it on"), Failure(Reason.UNTESTED, message, None))
            for name, message in state.untested.items()
        ]
    if isinstance(state, Released):
        found = (undelivered(state.record, each, now) for each in state.outstanding.deliveries)
        return [each for each in found if each is not None]
    return []


def _publication(record: ReleaseRecord, untagged: tuple[str, ...]) -> list[Action]:
    actions: list[Action] = []
    if untagged:
        actions.append(Tag(record.version, untagged, "these images passed the gate"))
    if record.published_time is None:
        actions.append(Publish(record.version, record.wheel.sha256, "every template passed the gate"))
    return actions


def _rollback(document: WorkspaceRuntime, state: Held) -> list[Action]:
    if state.fallback is None:
        return []
    actions: list[Action] = []
    version, back = document.spec.version, state.fallback.version
    asked = state.reason == Reason.ROLLED_BACK
    if state.retagged:
        of_whom = "its owner has left" if asked else "failed"
        reason = f"these tags still name the version that {of_whom}"
        actions.append(Promote(back, state.retagged, reason, state.moves))
    if state.fleet is not None:
        reason = f"{version} failed, and {back} is the last known good"
        reason = f"its owner went back from {version} to {back}" if asked else reason
        actions.extend(_replacements(state.fallback, state.fleet, reason=reason))
    return actions


def _replacements(
    record: ReleaseRecord,
    fleet: Fleet,
    *,
    reason: str | None = None,
    turn: Turn | None = None,
    stopped: bool = False,
) -> list[Action]:
    return [
        Replace(
            target.id,
            record.version,
            target.template or "",
            image_id,
            reason or why_stale(target, record),
            **_place(target, turn),
        )
        if (image_id := image_of(record, target.template)) is not None
        and ((not stopped and (turn is None or turn.lets(target.id))) or not _began_another(target, record))
        else _ending(target)
        for target in fleet.stale
    ]


def _place(target: Target, turn: Turn | None) -> dict[str, Any]:
    """Return the wave of a target, and how many may fail in it."""
    if turn is None:
        return {}
    wave = turn.waves[target.id]
    return {"wave": wave, "spare": turn.spare[wave]}


def _began_another(target: Target, record: ReleaseRecord) -> bool:
    """Whether a replacement by something else than `record` was begun: before its wave it ends with that, and goes no further."""
    recorded = record.templates.get(target.template or "")
    return (
        target.in_transition
        and target.succession is not None
        and (recorded is None or target.succession.image_id not in recorded.digests)
    )


def begun_in(state: State, targets: Observed[tuple[Target, ...]], progress: Progress) -> list[Action]:
    """Return the ends of replacements that nobody is at any more, where `state` does not roll targets anyway.

    The next release may be minutes away, or never come, and what blocks it (records, an index) may be away for hours;
    until then a workspace must not stay down. Ending needs nothing but the engine.
    """
    rolls = isinstance(state, Stale) or (
        isinstance(state, Held) and (state.by_owner or state.fleet is not None)
    )
    if rolls or isinstance(targets, Unknown):
        return []
    under_way = targets_under_way(progress)
    return [
        _ending(target) for target in targets.value if target.in_transition and target.id not in under_way
    ]


def _ending(target: Target) -> Replace:
    version = target.succession.version if target.succession is not None else None
    return Replace(
        target.id,
        version or "",
        target.template or "",
        image_id=None,
        reason="its replacement was left in the middle",
    )


def targets_under_way(progress: Progress) -> frozenset[str]:
    """Return the ids of the targets that are being replaced."""
    return frozenset(target_of(key) for key in progress.in_flight if key.startswith("replace/"))


def target_of(key: str) -> str:
    """Return the target's id in the key of a `Replace`."""
    return key.removeprefix("replace/").split("|", 1)[0]
