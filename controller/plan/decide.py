"""Which actions come next: the only place that decides; the same function answers `wsr plan`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from controller.api.conditions import Reason
from controller.api.status import RolloutStatus
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import (
    Action,
    Adopt,
    Cascade,
    Judge,
    Package,
    Probe,
    Promote,
    Prune,
    Publish,
    Replace,
    Tag,
)
from controller.model.observed import Known, Observed, Unknown
from controller.model.plan import Failure, Plan, Progress
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.wave import Turn
from controller.plan.delivery import answer_due, is_overdue
from controller.plan.fleet import Fleet, may_go_now
from controller.plan.prune import pruning
from controller.plan.resumption import resumption
from controller.plan.rollback import rollback
from controller.plan.starting import admitted, stop_of
from controller.plan.state import (
    Absent,
    Blocked,
    Held,
    Released,
    Stale,
    State,
    Unbuilt,
    Unpublished,
    UpToDate,
    outstanding_of,
)
from controller.plan.wanted import begun_in, standing_in, target_of, targets_under_way, wanted_in
from controller.plan.waves import turn_of

PROBES_AT_ONCE = 8
"""Candidates booted at the same time: a boot is mostly one core's work, with waits for disk and engine in between."""

BACKSTOP = timedelta(seconds=60)
"""How long to sleep when nothing wakes us: signals may be lost."""

BLOCKED_RETRY = timedelta(seconds=5)
"""How soon a source that could not be read is read again."""

AWAITED_RETRY = timedelta(seconds=10)
"""How soon it is looked again whether what somebody else builds has arrived: a version on the index, or an image."""

NO_TARGETS: Observed[tuple[Target, ...]] = Known(())

NO_RECORDS: Observed[Mapping[str, ReleaseRecord]] = Known({})

PREPARATIONS = frozenset({"adopt", "package", "cascade", "probe"})
"""Kinds of work that change nothing anybody uses: they may be cut off. Publications and replacements are finished."""

RELEASE_WORK = PREPARATIONS | {"tag", "publish"}
"""Kinds of work that rely on the bytes that a version's record names."""


def decide(  # noqa: PLR0913 -- two of them are parts of one observation
    document: WorkspaceRuntime,
    state: State,
    progress: Progress,
    now: datetime,
    *,
    targets: Observed[tuple[Target, ...]] = NO_TARGETS,
    records: Observed[Mapping[str, ReleaseRecord]] = NO_RECORDS,
    rollout: RolloutStatus | None = None,
    may: Callable[[Action], bool] = lambda _: True,
) -> Plan:
    """Return what may be done now for an object in `state`; actions under way or failed for good are left out.

    `now` is aware UTC; `targets` and `records` are those of the same observation, `rollout` is how far it was said to be before,
    and `may` tells what is done at all. The plan's actions are
    independent of each other: all of them may run together.
    """
    # Resumed first: of a version that is to go on and back at once, back is what stands.
    request = resumption(document, state, records) or rollback(document, state, records)
    alone = request is not None and request.key not in progress.failures
    record = _whole_record(state, records)
    turn = (
        turn_of(document.spec.rollout, record, state.fleet, rollout, now, put_off=_put_off(progress))
        if isinstance(state, Released) and record
        else None
    )
    stop = stop_of(document, state, now, record=record)
    wanted = [
        *wanted_in(document, state, turn, stopped=stop is not None),
        *begun_in(state, targets, progress),
    ]
    # What it frees is another state, in which all else may not be wanted.
    due = list(filter(may, [*([request] if request else []), *([] if alone else wanted)]))
    open_ = [action for action in due if action.key not in progress.in_flight]
    failed = (
        *((action, progress.failures[action.key]) for action in open_ if action.key in progress.failures),
        *standing_in(document, state, now),
    )
    held_back = {action.key for action, failure in failed if not _due(failure, now)}
    ready = [action for action in open_ if action.key not in held_back and not _in_the_way(action, progress)]
    started = admitted(state, ready, stop)
    ready, stop = started, stop if len(started) < len(ready) else None
    retries = [failure.retry_time for _, failure in failed if failure.retry_time and failure.retry_time > now]
    awaited = outstanding_of(state).deliveries
    retries += [time for each in awaited if (time := answer_due(each)) is not None and time > now]
    ends = (turn.soaks_until if turn else None, stop.until if stop else None)
    retries += [time for time in ends if time is not None]
    idle = isinstance(state, UpToDate) and not due and state.outstanding.unread is None
    actions = (
        *_together(document, state, ready, progress, turn),
        *filter(may, _pruning(document, progress, now, targets=targets, records=records) if idle else ()),
    )
    return Plan(
        actions=actions,
        failed=tuple((action, failure) for action, failure in failed if not _due(failure, now)),
        look_again=min([*retries, now + _pause(state, now)]),
        superseded=_superseded(document, state, wanted, progress),
        patience=None if actions or retries or progress.in_flight else _patience(document, state),
        turn=turn,
        stop=stop,
    )


def _put_off(progress: Progress) -> frozenset[str]:
    """Return the ids of the targets whose work has outlasted their drain, and which are asked again later."""
    late = (key for key, failure in progress.failures.items() if failure.reason == Reason.DRAINING)
    return frozenset(target_of(key) for key in late if key.startswith("replace/"))


def _whole_record(state: State, records: Observed[Mapping[str, ReleaseRecord]]) -> ReleaseRecord | None:
    """Return the record of a version that has passed the gate: what cannot be read of one template now is no other plan."""
    if not isinstance(state, Released | Unpublished):
        return None
    known = records.value if isinstance(records, Known) else {}
    return known.get(state.record.version, state.record)


def _pause(state: State, now: datetime) -> timedelta:
    """Return how soon to look again at what nothing wakes us for."""
    if _is_unread(state):
        return BLOCKED_RETRY
    if isinstance(state, Released):
        awaited = any(not is_overdue(state.record, each, now) for each in state.outstanding.deliveries)
    else:
        awaited = isinstance(state, Absent) and not (state.release or state.tree_sha256)
    return AWAITED_RETRY if awaited else BACKSTOP


def _patience(document: WorkspaceRuntime, state: State) -> timedelta | None:
    """Return how long somebody else's move is worth waiting for in `state`; None when a source is only to be read again."""
    outstanding = outstanding_of(state)
    if isinstance(state, UpToDate):  # what has failed to answer once is asked once more
        return BLOCKED_RETRY if outstanding.unread is not None else timedelta(0)
    for_good = outstanding.unread is not None and outstanding.unread.stalled is not None
    if isinstance(state, Blocked) and state.awaited is not None:
        return timedelta(0)
    unread = (each.unread for each in outstanding.deliveries)
    if (_is_unread(state) and not for_good) or any(each and not each.stalled for each in unread):
        return None
    if isinstance(state, Stale) and state.fleet.unproven:
        starting = {target.template for target in state.fleet.unproven}
        deadlines = (each.start_deadline_seconds for each in document.spec.templates if each.name in starting)
        return timedelta(seconds=max(deadlines, default=0))
    return timedelta(0)


def _is_unread(state: State) -> bool:
    """Whether the next step waits for a source that could not be read."""
    if isinstance(state, Released):
        return state.outstanding.unread is not None
    return isinstance(state, Blocked) or (
        isinstance(state, Held) and state.fallback is not None and state.fleet is None
    )


def _superseded(
    document: WorkspaceRuntime, state: State, wanted: list[Action], progress: Progress
) -> frozenset[str]:
    """Return the preparations under way for another version, for other bytes of this one, or for a stopped object."""
    cut: set[str] = set()
    for key in progress.in_flight - {action.key for action in wanted}:
        kind, version = _kind_and_version(key)
        stopped = isinstance(state, Held) and state.by_owner
        if kind in PREPARATIONS and (
            stopped or version != document.spec.version or isinstance(state, Absent)
        ):
            cut.add(key)
    return frozenset(cut)


def _in_the_way(action: Action, progress: Progress) -> bool:
    """Whether work under way on the same version must end first.

    New bytes for a version wait until nothing relies on the old ones any more, and what writes the same names runs
    one at a time: the observation shows it half-done, so that its rest looks like an action of its own.
    """
    match action:
        case Adopt() | Package():
            kinds = RELEASE_WORK
        case Cascade():
            kinds = frozenset({"cascade"})
        case Tag():
            kinds = frozenset({"tag"})
        case Publish():
            kinds = frozenset({"publish"})
        case Promote() | Judge():
            kinds = frozenset({"promote", "judge"})
        case _:
            return False
    return any(
        kind in kinds and version == action.version
        for kind, version in map(_kind_and_version, progress.in_flight)
    )


def _kind_and_version(key: str) -> tuple[str, str]:
    """Return the first two parts of an action's key; the second is a version for all kinds but replace."""
    kind, version, *_ = key.split("/")
    return kind, version


def _together(
    document: WorkspaceRuntime,
    state: State,
    ready: list[Action],
    progress: Progress,
    turn: Turn | None,
) -> tuple[Action, ...]:
    """Return those of `ready` that may run beside each other and beside what is under way."""
    under_way = sum(1 for key in progress.in_flight if key.startswith("probe/"))
    probes = [action for action in ready if isinstance(action, Probe)][: max(0, PROBES_AT_ONCE - under_way)]
    ready = [action for action in ready if not isinstance(action, Probe) or action in probes]
    match state:
        case Unbuilt():
            builds = [action for action in ready if isinstance(action, Cascade)]
            others = [action for action in ready if action not in builds]
            return (*others, *([Cascade.of(builds)] if builds else []))
        case Stale(fleet=fleet) | Held(fleet=Fleet() as fleet):
            others = [action for action in ready if not isinstance(action, Replace)]
            replacements = {action.target: action for action in ready if isinstance(action, Replace)}
            in_flight = targets_under_way(progress)
            begun = {target.id for target in fleet.stale if target.in_transition}
            open_ = frozenset(
                each for each in replacements if turn is None or turn.lets(each) or each in begun
            )
            chosen = may_go_now(document.spec, fleet, ready=open_, in_flight=in_flight)
            return (*others, *(replacements[target.id] for target in chosen))
        case _:
            return tuple(ready)


def _pruning(
    document: WorkspaceRuntime,
    progress: Progress,
    now: datetime,
    *,
    targets: Observed[tuple[Target, ...]],
    records: Observed[Mapping[str, ReleaseRecord]],
) -> list[Prune]:
    """Return what may be deleted while nothing goes on. When it fails nothing else does: nobody waits for it."""
    if progress.in_flight or isinstance(targets, Unknown) or isinstance(records, Unknown):
        return []
    if any(target.is_unseen for target in targets.value):
        return []  # what they run is not known
    action = pruning(document, records.value, targets.value, now)
    failure = progress.failures.get(action.key) if action is not None else None
    return [action] if action is not None and (failure is None or _due(failure, now)) else []


def _due(failure: Failure, now: datetime) -> bool:
    return failure.retry_time is not None and failure.retry_time <= now
