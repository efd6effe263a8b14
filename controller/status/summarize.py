"""The one place that says what is true: status from the document, the state, the plan and what was there before.

It runs in every pass, even when half of the world could not be read. Pure: the same pass gives the same status,
so an idle object is never written.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controller.api.status import (
    HistoryEntry,
    PackageStatus,
    RolloutStatus,
    SourceStatus,
    Status,
    Straggler,
    TemplateStatus,
)
from controller.api.v1alpha1 import Template
from controller.model.observed import Known, Unknown
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.template_record import TemplateRecord
from controller.plan import rollback
from controller.plan.changes import changes_of, cure_of, question_of, update_of
from controller.plan.changes.change import Change
from controller.plan.fleet import Fleet, sort_fleet
from controller.plan.outcome import failed_targets
from controller.plan.resumption import request_of
from controller.plan.state import (
    Absent,
    Contested,
    Held,
    Released,
    State,
    Undelivered,
    UpToDate,
    image_for_new,
    last_known_good,
)
from controller.plan.unread import is_gone
from controller.status.conditions import conditions_of
from controller.status.scope import Scope
from controller.status.standing import Standing, standing_of

STRAGGLERS_LISTED = 20
HISTORY_LISTED = 10


def summarize(scope: Scope, previous: Status, now: datetime) -> Status:
    """Return the status of this pass; `previous` gives transition times and history, `now` is aware UTC."""
    records = scope.observation.records
    record = _record(scope)
    fleet = _fleet(scope.state)
    measured = _measured(scope, record)
    good = last_known_good(records.value) if isinstance(records, Known) else None
    return Status(
        observed_generation=scope.generation,
        conditions=conditions_of(scope, record, previous, now),
        resolved_version=record.version if record else None,
        source=SourceStatus(commit=record.source_commit, tree_sha256=record.tree_sha256) if record else None,
        package=_package(record) if record else None,
        templates=tuple(
            _template(scope, template, record, previous) for template in scope.document.spec.templates
        ),
        rollout=_rollout(scope, measured, previous, now) if measured else _unmeasured(scope, previous),
        stragglers=_stragglers(scope, fleet, previous, now) if fleet else (),
        last_known_good=good.version
        if good
        else (None if isinstance(records, Known) else previous.last_known_good),
        held=scope.state.message if isinstance(scope.state, Held) else None,
        history=_history(scope, record, previous, now),
        awaiting_approval=scope.plan.stop.hash if scope.plan.stop else None,
        last_handled_reconcile_at=scope.document.metadata.requested_at,
        last_handled_resume=_resumed(scope, record, previous),
        last_handled_rollback=_went_back(scope, previous),
        rollback_refused=rollback.refusal(scope.document, records),
    )


def _resumed(scope: Scope, record: ReleaseRecord | None, previous: Status) -> str | None:
    done = record is not None and request_of(scope.document) in record.resume_requests
    return scope.document.metadata.resume if done else previous.last_handled_resume


def _went_back(scope: Scope, previous: Status) -> str | None:
    records, asked = scope.observation.records, scope.document.metadata.rollback_to
    done = isinstance(records, Known) and rollback.is_taken_up(scope.document, records.value)
    return asked if done else previous.last_handled_rollback


def _record(scope: Scope) -> ReleaseRecord | None:
    records = scope.observation.records
    if isinstance(scope.state, Absent) or isinstance(records, Unknown):
        return None
    return records.value.get(scope.document.spec.version)


def _fleet(state: State) -> Fleet | None:
    return state.fleet if isinstance(state, Released | Held) else None


def _measured(scope: Scope, record: ReleaseRecord | None) -> Fleet | None:
    """Return the fleet against what is asked for, also while a rollback moves it away from that."""
    targets = scope.observation.targets
    if isinstance(scope.state, Held):
        if record is None or not isinstance(targets, Known):
            return None
        return sort_fleet(record, targets.value, failed=failed_targets(scope.document.key, record))
    return _fleet(scope.state)


def _package(record: ReleaseRecord) -> PackageStatus:
    return PackageStatus(
        version=record.version,
        wheel_sha256=record.wheel.sha256,
        content_sha256=record.content_sha256,
        sdist_sha256=record.sdist.sha256 if record.sdist else None,
        published_time=record.published_time,
    )


def _template(
    scope: Scope, template: Template, record: ReleaseRecord | None, previous: Status
) -> TemplateStatus:
    """`image` is what new workspaces should use: the proven and published one, until then the last known good's."""
    version, records = scope.document.spec.version, scope.observation.records
    if isinstance(records, Unknown):
        # An immutable reference stays true; that the rest cannot be known is in the conditions.
        kept = next((entry for entry in previous.templates if entry.name == template.name), None)
        return kept or TemplateStatus(name=template.name, state="Missing")
    built = record.templates.get(template.name) if record else None
    update = _update(scope, template, record)
    image = image_for_new(
        records.value,
        version,
        template.name,
        gone=lambda image: is_gone(template, record, image, scope.observation),
    )
    standing = standing_of(scope, template, record)
    earlier = last_known_good(records.value, but=version)
    before = earlier.templates.get(template.name) if earlier else None
    return TemplateStatus(
        name=template.name,
        **_state(built, update, standing),
        message=standing.message or (cure_of(template, update) if update else _unknown_base(scope, template)),
        image=image,
        previous_image=before.image if before and before.image != image else None,
        base_digest=_base_digest(built),
        boot_seconds=built.boot_seconds if built else None,
        memory_bytes=built.memory_bytes if built else None,
        update_available=update.reason if update else None,
    )


def _state(built: TemplateRecord | None, update: Change | None, standing: Standing) -> dict[str, Any]:
    if built is None or standing.message:
        return {"state": standing.state, "reason": standing.reason}
    available = update if built.proven else None
    told: Change | TemplateRecord = available or built
    state = "UpdateAvailable" if available else standing.state
    return {"state": state, "reason": told.reason, "before": told.before, "after": told.after}


def _update(scope: Scope, template: Template, record: ReleaseRecord | None) -> Change | None:
    if record is None or not isinstance(scope.observation.images, Known):
        return None
    return update_of(changes_of(template, question_of(scope.document, template, record, scope.observation)))


def _unknown_base(scope: Scope, template: Template) -> str | None:
    """Return which base of a template cannot be read: whether it moved is not known, and nothing is built for it."""
    inputs = scope.observation.templates.get(template.name)
    for name in inputs.value.bases if isinstance(inputs, Known) else ():
        base = scope.observation.bases.get(name)
        if isinstance(base, Unknown):
            return f"Base image {name} cannot be read: {base.reason}"
    return None


def _base_digest(built: TemplateRecord | None) -> str | None:
    """Return the digest of the image that the full build's last stage started from."""
    full = built.full_build if built is not None else None
    if full is None or full.bases is None or full.inputs is None:
        return None
    return next((full.bases[name] for name in full.inputs.bases[:1] if name in full.bases), None)


def _rollout(scope: Scope, fleet: Fleet, previous: Status, now: datetime) -> RolloutStatus:
    started = previous.rollout.started_time if previous.rollout else None
    same_version = previous.resolved_version == scope.document.spec.version
    moving = _fleet(scope.state)
    return RolloutStatus(
        **_wave(scope, previous),
        started_time=started if started and same_version else (now if fleet.stale else None),
        total=len(fleet.counted),
        up_to_date=len(fleet.proven),
        updating=sum(1 for key in scope.progress.in_flight if key.startswith("replace/")),
        busy=sum(1 for target in moving.stale if target.busy) if moving else 0,
        held=len(fleet.missed) - len(fleet.failed) - len(fleet.unseen),
        unreachable=len(fleet.unseen),
        failed=len(fleet.failed),
        unknown=len(fleet.unproven),
    )


def _wave(scope: Scope, previous: Status) -> dict[str, Any]:
    """Return which wave goes now; while nothing of it does, which one went before: all else of it can be seen."""
    turn, before = scope.plan.turn, previous.rollout
    if turn is not None:
        return {"plan_hash": turn.plan_hash, "wave": turn.name, "wave_proven_time": turn.proven_time}
    if not scope.document.spec.rollout.waves or before is None:
        return {}
    return before.model_dump(include={"plan_hash", "wave", "wave_proven_time"}, by_alias=False)


def _unmeasured(scope: Scope, previous: Status) -> RolloutStatus | None:
    """Return what stays known of a rollout in waves while nobody can say who runs what."""
    before, wave = previous.rollout, _wave(scope, previous)
    if before is None or not wave:
        return None
    return RolloutStatus(
        **wave,
        started_time=before.started_time,
        total=before.total,
        up_to_date=None,
        unknown=before.total,
    )


def _stragglers(scope: Scope, fleet: Fleet, previous: Status, now: datetime) -> tuple[Straggler, ...]:
    failures = {action.target: failure for action, failure in scope.plan.failed if hasattr(action, "target")}
    causes: dict[str, tuple[str, str]] = {}
    for target in fleet.stale:
        failure = failures.get(target.id)
        causes[target.id] = (target.host, failure.message if failure else _why_stale(target, scope))
    for target in fleet.unproven:
        causes[target.id] = (target.host, f"has the image and has not reported{_because(target)}")
    for left in fleet.untouched:
        causes[left.target.id] = (left.target.host, left.cause)
    since = {straggler.name: straggler.since for straggler in previous.stragglers}
    listed = sorted(causes.items())[:STRAGGLERS_LISTED]
    return tuple(
        Straggler(name=name, where=where, since=since.get(name, now), why=why)
        for name, (where, why) in listed
    )


def _why_stale(target: Target, scope: Scope) -> str:
    turn = scope.plan.turn
    if target.in_transition:
        return "busy" if target.busy else f"is being replaced{_because(target)}"
    if turn is not None and not turn.lets(target.id):
        return f"waits for wave {turn.waves[target.id]}"
    if scope.plan.stop is not None:
        return "waits for approval" if scope.plan.stop.hash else "waits for a window"
    return "busy" if target.busy else "waits for its turn"


def _because(target: Target) -> str:
    """Return why a target does not report, where that is known."""
    return f": {target.running.reason}" if isinstance(target.running, Unknown) else ""


def _history(
    scope: Scope, record: ReleaseRecord | None, previous: Status, now: datetime
) -> tuple[HistoryEntry, ...]:
    version = scope.document.spec.version
    entries = list(previous.history)
    if not entries or entries[0].version != version:
        if entries and entries[0].finished_time is None:
            entries[0] = entries[0].model_copy(update={"verdict": "Superseded", "finished_time": now})
        entries.insert(0, HistoryEntry(version=version, verdict="InProgress", started_time=now))
    verdict = record.verdict if record else None
    if record is not None and verdict is None and entries[0].finished_time is not None:
        entries[0] = entries[0].model_copy(
            update={"verdict": "InProgress", "reason": "", "finished_time": None}
        )
    through = isinstance(scope.state, Undelivered | Contested | UpToDate)
    settled = through or (isinstance(scope.state, Held) and verdict is not None)
    newest = entries[0]
    if settled and verdict is not None and newest.verdict != verdict.value:
        entries[0] = newest.model_copy(
            update={"verdict": verdict.value, "reason": verdict.reason, "finished_time": now}
        )
    return tuple(entries[:HISTORY_LISTED])
