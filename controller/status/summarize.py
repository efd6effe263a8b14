"""The one place that says what is true: status from the document, the state, the plan and what was there before.

It runs in every pass, even when half of the world could not be read. Pure: the same pass gives the same status,
so an idle object is never written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.api.conditions import ConditionType, Reason
from controller.api.status import (
    Condition,
    HistoryEntry,
    PackageStatus,
    RolloutStatus,
    SourceStatus,
    Status,
    Straggler,
    TemplateStatus,
)
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import Action, Failure, Plan, Progress
from controller.model.record import ReleaseRecord
from controller.plan.changes import change_of
from controller.plan.changes.change import Question
from controller.plan.fleet import Fleet, sort_fleet
from controller.plan.state import (
    Absent,
    Blocked,
    Held,
    Stale,
    State,
    Unbuilt,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
    image_for_new,
    last_known_good,
)

STRAGGLERS_LISTED = 20
HISTORY_LISTED = 10


@dataclass(frozen=True, slots=True)
class Scope:
    """All that one pass knows about an object."""

    document: WorkspaceRuntime
    generation: int
    observation: Observation
    state: State
    plan: Plan
    progress: Progress


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, reason and message of a condition before its times are known."""

    status: str
    reason: str
    message: str


def summarize(scope: Scope, previous: Status, now: datetime) -> Status:
    """Return the status of this pass; `previous` gives transition times and history, `now` is aware UTC."""
    records = scope.observation.records
    record = _record(scope)
    fleet = _fleet(scope.state)
    measured = _measured(scope, record)
    good = last_known_good(records.value) if isinstance(records, Known) else None
    return Status(
        observed_generation=scope.generation,
        conditions=_conditions(scope, record, previous, now),
        resolved_version=record.version if record else None,
        source=SourceStatus(commit=record.source_commit, tree_sha256=record.tree_sha256) if record else None,
        package=_package(record) if record else None,
        templates=tuple(
            _template(scope, template, record, previous) for template in scope.document.spec.templates
        ),
        rollout=_rollout(scope, measured, previous, now) if measured else None,
        stragglers=_stragglers(scope, fleet, previous, now) if fleet else (),
        last_known_good=good.version
        if good
        else (None if isinstance(records, Known) else previous.last_known_good),
        held=scope.state.message if isinstance(scope.state, Held) else None,
        history=_history(scope, record, previous, now),
    )


def _record(scope: Scope) -> ReleaseRecord | None:
    records = scope.observation.records
    if isinstance(scope.state, Absent) or isinstance(records, Unknown):
        return None
    return records.value.get(scope.document.spec.version)


def _fleet(state: State) -> Fleet | None:
    return state.fleet if isinstance(state, Stale | Unpromoted | UpToDate | Held) else None


def _measured(scope: Scope, record: ReleaseRecord | None) -> Fleet | None:
    """Return the fleet against what is asked for, also while a rollback moves it away from that."""
    targets = scope.observation.targets
    if isinstance(scope.state, Held):
        return sort_fleet(record, targets.value) if record and isinstance(targets, Known) else None
    return _fleet(scope.state)


def _conditions(
    scope: Scope, record: ReleaseRecord | None, previous: Status, now: datetime
) -> tuple[Condition, ...]:
    verdicts = {
        ConditionType.READY: _ready(scope),
        ConditionType.PUBLISHED: _published(scope, record),
        ConditionType.IMAGES_BUILT: _images_built(scope, record),
        ConditionType.ROLLED_OUT: _rolled_out(scope),
    }
    ready = verdicts[ConditionType.READY]
    if _is_stalled(scope):
        verdicts[ConditionType.STALLED] = Verdict("True", ready.reason, ready.message)
    elif ready.status != "True" and ready.reason != Reason.SUSPENDED:
        verdicts[ConditionType.RECONCILING] = _rolling_back(scope) or Verdict(
            "True", ready.reason, ready.message
        )
    return tuple(
        _condition(type_, verdict, scope.generation, previous=previous, now=now)
        for type_, verdict in verdicts.items()
    )


def _condition(
    type_: str, verdict: Verdict, generation: int, *, previous: Status, now: datetime
) -> Condition:
    before = previous.condition(type_)
    same = before is not None and before.status == verdict.status
    return Condition.model_validate(
        {
            "type": str(type_),
            "status": verdict.status,
            "reason": str(verdict.reason),
            "message": " ".join(verdict.message.split()),
            "lastTransitionTime": before.last_transition_time if before and same else now,
            "observedGeneration": generation,
        }
    )


def _is_stalled(scope: Scope) -> bool:
    """Nothing is under way, nothing may start, and waiting will not help."""
    state = scope.state
    if scope.progress.in_flight or scope.plan.actions:
        return False
    if any(failure.retry_time is not None for _, failure in scope.plan.failed):
        return False
    if isinstance(state, Held):
        waits_for_targets = state.fallback is not None and state.fleet is None
        return not state.suspended and not waits_for_targets
    return bool(scope.plan.failed)


def _rolling_back(scope: Scope) -> Verdict | None:
    """Return what a rollback is doing, None when there is none or it is through."""
    state = scope.state
    if not isinstance(state, Held) or state.fallback is None:
        return None
    if isinstance(scope.observation.targets, Unknown):
        text = f"The targets cannot be read: {scope.observation.targets.reason}"
        return Verdict("True", Reason.ROLLING_BACK, text)
    if state.fleet is None or not (state.fleet.stale or state.retagged):
        return None
    text = f"To bring back to {state.fallback.version}: {len(state.fleet.stale)} of {len(state.fleet.ours)} targets."
    return Verdict("True", Reason.ROLLING_BACK, text)


def _problem(scope: Scope) -> tuple[Action, Failure] | None:
    """Return the failure that people should read first: one that waits for them before one that will be retried."""
    final = [pair for pair in scope.plan.failed if pair[1].retry_time is None]
    return next(iter([*final, *scope.plan.failed]), None)


def _ready(scope: Scope) -> Verdict:
    state, problem = scope.state, _problem(scope)
    if isinstance(state, UpToDate):
        return Verdict("True", Reason.UP_TO_DATE, _settled_text(state.fleet, state.record))
    if isinstance(state, Held):
        return Verdict("False", state.reason, state.message)
    if isinstance(state, Blocked):
        return Verdict("Unknown", Reason.UNKNOWN, f"The {state.source} cannot be read: {state.message}")
    if problem is not None:
        return Verdict("False", problem[1].reason, problem[1].message)
    return _stage(scope)


def _stage(scope: Scope) -> Verdict:
    version = scope.document.spec.version
    match scope.state:
        case Absent() | Unbuilt():
            return Verdict("False", Reason.BUILDING, f"Version {version} is being built.")
        case Unproven(templates=templates):
            names = ", ".join(templates)
            return Verdict("False", Reason.PROVING, f"Candidates of {version} are being proven: {names}.")
        case Unpublished():
            return Verdict("False", Reason.PUBLISHING, f"Version {version} is being published.")
        case Stale(fleet=fleet):
            return _rolling(scope, fleet)
        case _:
            return Verdict(
                "False", Reason.PROMOTING, f"Version {version} runs everywhere and is being promoted."
            )


def _rolling(scope: Scope, fleet: Fleet) -> Verdict:
    version = scope.document.spec.version
    text = f"{len(fleet.proven)} of {len(fleet.counted)} targets run {version}"
    if fleet.stale:
        stopped = sum(1 for target in fleet.stale if target not in fleet.counted)
        rest = f"; {stopped} stopped to be updated" if stopped else ""
        return Verdict("False", Reason.ROLLING, f"{text}{rest}.")
    names = ", ".join(target.id for target in fleet.unproven[:3])
    return Verdict("Unknown", Reason.TARGETS_UNKNOWN, f"{text}; not reporting: {names}.")


def _settled_text(fleet: Fleet, record: ReleaseRecord) -> str:
    alone = f"; {len(fleet.untouched)} left alone" if fleet.untouched else ""
    stopped = len(fleet.ours) - len(fleet.counted)
    rest = f"; {stopped} stopped, to start with it{alone}" if stopped else alone
    if not fleet.counted:
        return f"Version {record.version} is ready; no target runs{rest}."
    who = f"All {len(fleet.counted)} targets run" if len(fleet.counted) > 1 else "The only target runs"
    return f"{who} {record.version}{rest}."


def _published(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if record is not None and record.published_time is not None:
        return Verdict("True", Reason.SERVED, f"The index serves {version}.")
    problem = _problem(scope)
    if isinstance(scope.state, Unpublished):
        if problem is not None:
            return Verdict("False", problem[1].reason, problem[1].message)
        return Verdict("False", Reason.PUBLISHING, f"Version {version} is being published.")
    if isinstance(scope.observation.records, Unknown):
        return Verdict(
            "Unknown",
            Reason.UNKNOWN,
            f"The release records cannot be read: {scope.observation.records.reason}",
        )
    if isinstance(scope.observation.index, Unknown):
        text = f"The package index cannot be read: {scope.observation.index.reason}"
        return Verdict("Unknown", Reason.UNKNOWN, text)
    return Verdict("False", Reason.PENDING, f"Version {version} is not public.")


def _images_built(scope: Scope, record: ReleaseRecord | None) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.records, Unknown):
        return Verdict(
            "Unknown",
            Reason.UNKNOWN,
            f"The release records cannot be read: {scope.observation.records.reason}",
        )
    if record is not None and record.failed and record.verdict is not None and not _all_proven(scope, record):
        return Verdict("False", record.verdict.reason, record.verdict.message)
    problem = _problem(scope)
    if isinstance(scope.state, Absent | Unbuilt | Unproven):
        if problem is not None:
            return Verdict("False", problem[1].reason, problem[1].message)
        return _stage(scope)
    if record is not None and _all_proven(scope, record):
        return Verdict("True", Reason.PROVEN, f"Every template has booted and answered with {version}.")
    return Verdict("Unknown", Reason.PENDING, f"The images of {version} have not been looked at.")


def _all_proven(scope: Scope, record: ReleaseRecord) -> bool:
    names = [template.name for template in scope.document.spec.templates]
    return all(name in record.templates and record.templates[name].proven for name in names)


def _rolled_out(scope: Scope) -> Verdict:
    version = scope.document.spec.version
    if isinstance(scope.observation.targets, Unknown):
        return Verdict(
            "Unknown", Reason.UNKNOWN, f"The targets cannot be read: {scope.observation.targets.reason}"
        )
    match scope.state:
        case UpToDate(fleet=fleet, record=record) | Unpromoted(fleet=fleet, record=record):
            reason = Reason.UP_TO_DATE if fleet.ours else Reason.NO_TARGETS
            return Verdict("True", reason, _settled_text(fleet, record))
        case Stale(fleet=fleet):
            problem = _problem(scope)
            if problem is not None:
                return Verdict("False", problem[1].reason, problem[1].message)
            return _rolling(scope, fleet)
        case Held(reason=reason, message=message):
            return Verdict("False", reason, message)
        case _:
            return Verdict("False", Reason.PENDING, f"Version {version} is not ready to be rolled out.")


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
    image = image_for_new(records.value, version, template.name)
    earlier = last_known_good(records.value, but=version)
    before = earlier.templates.get(template.name) if earlier else None
    return TemplateStatus(
        name=template.name,
        state="Missing" if built is None else "Proven" if built.proven else "Unproven",
        reason=built.reason if built else "",
        image=image,
        previous_image=before.image if before and before.image != image else None,
        base_digest=built.full_build.digest if built and built.full_build else None,
        update_available=_update_available(scope, template, record),
    )


def _update_available(scope: Scope, template: Template, record: ReleaseRecord | None) -> str | None:
    images, inputs = scope.observation.images, scope.observation.templates.get(template.name)
    if record is None or not isinstance(images, Known):
        return None
    current = inputs.value if isinstance(inputs, Known) else None
    change = change_of(template, Question(record, images.value, current))
    return change.reason if change is not None and not change.builds else None


def _rollout(scope: Scope, fleet: Fleet, previous: Status, now: datetime) -> RolloutStatus:
    started = previous.rollout.started_time if previous.rollout else None
    same_version = previous.resolved_version == scope.document.spec.version
    moving = _fleet(scope.state)
    return RolloutStatus(
        started_time=started if started and same_version else (now if fleet.stale else None),
        total=len(fleet.counted),
        up_to_date=len(fleet.proven),
        updating=sum(1 for key in scope.progress.in_flight if key.startswith("replace/")),
        busy=sum(1 for target in moving.stale if target.busy) if moving else 0,
        held=len(fleet.untouched),
        unknown=len(fleet.unproven),
    )


def _stragglers(scope: Scope, fleet: Fleet, previous: Status, now: datetime) -> tuple[Straggler, ...]:
    failures = {action.target: failure for action, failure in scope.plan.failed if hasattr(action, "target")}
    causes: dict[str, tuple[str, str]] = {}
    for target in fleet.stale:
        failure = failures.get(target.id)
        causes[target.id] = (
            target.host,
            failure.message if failure else "busy" if target.busy else "waits for its turn",
        )
    for target in fleet.unproven:
        causes[target.id] = (target.host, "runs the image and has not reported")
    for target, cause in fleet.untouched:
        causes[target.id] = (target.host, cause)
    since = {straggler.name: straggler.since for straggler in previous.stragglers}
    listed = sorted(causes.items())[:STRAGGLERS_LISTED]
    return tuple(
        Straggler(name=name, where=where, since=since.get(name, now), why=why)
        for name, (where, why) in listed
    )


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
    settled = isinstance(scope.state, UpToDate) or (isinstance(scope.state, Held) and verdict is not None)
    newest = entries[0]
    if settled and verdict is not None and newest.verdict != verdict.value:
        entries[0] = newest.model_copy(
            update={"verdict": verdict.value, "reason": verdict.reason, "finished_time": now}
        )
    return tuple(entries[:HISTORY_LISTED])
