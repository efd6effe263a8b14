"""From an observation to the one state that it shows: the first thing that is not true yet names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_HOLD
from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import Spec, WorkspaceRuntime
from controller.model.actions import TagMove
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.record import ReleaseRecord, Verdict
from controller.model.template_record import TemplateRecord
from controller.plan.delivery import Delivery, deliveries, retagged
from controller.plan.fleet import Fleet, LeftOut, sort_fleet
from controller.plan.gate import Gate, look
from controller.plan.known_good import good_newest_first, last_known_good, may_be_run, returned_to
from controller.plan.monotonic import refusal
from controller.plan.outcome import came_after, failed_targets
from controller.plan.state._states import (
    Absent,
    Blocked,
    Contested,
    Held,
    Outstanding,
    Stale,
    State,
    Unbuilt,
    Undelivered,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
)
from controller.plan.tags import Contest, lagging, naming, publisher_conflict
from controller.plan.unread import is_gone, unread_inputs


def classify(
    document: WorkspaceRuntime, observation: Observation, history: Sequence[HistoryEntry] = ()
) -> State:
    """Return the state of `document` in the world as `observation` shows it; `history` is what was asked for before."""
    spec = document.spec
    if spec.suspend:
        return Held(Reason.SUSPENDED, "The object is suspended; set spec.suspend to false to go on.")
    if document.metadata.hold is not None:
        because = document.metadata.hold
        cure = f"`wsr resume` lets it go on, or remove its annotation {ANNOTATION_HOLD}."
        return Held(Reason.HELD, f"The object is held: {because}. {cure}")
    if isinstance(observation.records, Unknown):
        return Blocked.on("release records", observation.records)
    records = observation.records.value
    record = records.get(spec.version)
    if record is not None and not _superseded(record, observation.source):
        if record.failed and record.verdict is not None:
            return _failed(document, record, record.verdict, observation, history)
        if record.published_time is not None or spec.package.publish == "Operator":
            refused = _refused(document, record, observation)
            return refused or _with_record(document, record, observation, history)
    return _refused(document, None, observation) or _without_record(spec, observation)


def _refused(
    document: WorkspaceRuntime, record: ReleaseRecord | None, observation: Observation
) -> Held | None:
    """Return the guard that stands before a version that is not public and must not become so."""
    public = record is not None and record.published_time is not None
    version, index, records = document.spec.version, observation.index, observation.records
    if public or not isinstance(index, Known) or version in index.value.releases:
        return None
    message = refusal(version, index.value)
    if message is not None:
        return Held(Reason.VERSION_REFUSED, message)
    conflict = publisher_conflict(document, records.value.values()) if isinstance(records, Known) else None
    return Held(Reason.PUBLISHER_CONFLICT, conflict) if conflict else None


def _superseded(record: ReleaseRecord, source: Observed[str] | None) -> bool:
    """Whether the source moved on before this version became public: only then may the version mean other bytes."""
    return (
        record.published_time is None
        and record.tree_sha256 is not None
        and isinstance(source, Known)
        and source.value != record.tree_sha256
    )


def _without_record(spec: Spec, observation: Observation) -> State:
    index = observation.index
    if not isinstance(index, Known):
        return _index_unread(index)
    release = index.value.releases.get(spec.version)
    if release is not None:
        return Absent(release=release, tree_sha256=None)
    if spec.package.publish == "External":
        return Absent(release=None, tree_sha256=None)
    if isinstance(observation.source, Known):
        return Absent(release=None, tree_sha256=observation.source.value)
    return Blocked.on("source", observation.source)


def _images_unread(gate: Gate, observation: Observation) -> Blocked:
    stalled = [each.stalled for each in observation.unread.values()]
    reason = stalled[0] if all(stalled) else None
    return Blocked("images", " and ".join(gate.unread.values()), reason)


def _targets_unread(fleet: Fleet) -> Blocked | None:
    """Return which targets cannot be seen now: the others are rolled, and the version is not judged without them."""
    unseen = (left for left in fleet.missed if left.target.is_unseen and left.reason == Reason.UNKNOWN)
    return next((Blocked(f"targets in {left.target.host}", left.cause) for left in unseen), None)


def _index_unread(index: Unknown | None) -> Blocked:
    return Blocked.on("package index", index)


def _failed(
    document: WorkspaceRuntime,
    record: ReleaseRecord,
    verdict: Verdict,
    observation: Observation,
    history: Sequence[HistoryEntry],
) -> State:
    message = f"{verdict.message.rstrip('.')}. Version {record.version} is held; `wsr resume` tries it again."
    records = observation.records.value if isinstance(observation.records, Known) else {}
    running = [name for name, image in record.templates.items() if image.proven]
    asked = returned_to(records, record)
    fallback = (
        asked
        or last_known_good(records, but=record.version, of=running)
        or last_known_good(records, but=record.version)
    )
    if fallback is None or (asked is None and document.spec.rollout.on_failure == "Pause"):
        return Held(verdict.reason, message)
    fallback = fallback.without([name for name, each in fallback.templates.items() if not may_be_run(each)])
    targets = observation.targets
    images = observation.images.value if isinstance(observation.images, Known) else {}
    # A version that fails takes nothing with it but what runs it; where its owner has said so, all go to the other one.
    only_running = record if asked is None else None
    fleet = (
        sort_fleet(fallback, targets.value, only_running=only_running) if isinstance(targets, Known) else None
    )
    moves = tuple(move for move in naming(document, record, images) if move.template in fallback.templates)
    others, contests = lagging(document, fallback, records, images, history, held=True)
    if asked is not None:
        named = {(move.template, move.tag) for move in moves}
        moves += tuple(move for move in others if (move.template, move.tag) not in named)
    theirs = tuple(each for each in contests if not each.concerns(moves))
    outstanding = Outstanding(contests=theirs)
    return Held(verdict.reason, message, fallback, fleet, _templates(moves), moves, outstanding=outstanding)


def _templates(moves: Iterable[TagMove]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(move.template for move in moves))


def _with_record(
    document: WorkspaceRuntime,
    record: ReleaseRecord,
    observation: Observation,
    history: Sequence[HistoryEntry],
) -> State:
    spec = document.spec
    if isinstance(observation.images, Unknown):
        return Blocked.on("images", observation.images)
    images = observation.images.value
    gate = look(document, record, observation, images)
    if gate.builds:
        return Unbuilt(record, gate.builds)
    if gate.unproven or gate.untested:
        return Unproven(record, gate.unproven, gate.untested)
    if record.published_time is None and gate.unread:
        return _images_unread(gate, observation)
    untagged = tuple(
        template.name
        for template in spec.templates
        if template.build.ours
        and template.name not in gate.held_back.keys() | gate.unread.keys()
        and _lacks_immutable_tag(record.templates[template.name], images)
    )
    if record.published_time is None and not isinstance(observation.index, Known):
        # An upload cannot be taken back: what else the index serves has to be known first.
        return _index_unread(observation.index)
    if untagged or record.published_time is None:
        return Unpublished(record, untagged)
    return _released(document, record, observation, gate, history)


def _lacks_immutable_tag(template: TemplateRecord, images: Mapping[str, str]) -> bool:
    return template.is_candidate or images.get(template.image) != template.identity


def _released(
    document: WorkspaceRuntime,
    record: ReleaseRecord,
    observation: Observation,
    gate: Gate,
    history: Sequence[HistoryEntry],
) -> State:
    if isinstance(observation.targets, Unknown):
        return Blocked.on("targets", observation.targets)
    records = observation.records.value if isinstance(observation.records, Known) else {}
    images = observation.images.value if isinstance(observation.images, Known) else {}
    left = gate.held_back.keys() - gate.unread.keys()
    behind = [each for each in document.spec.templates if each.build.ours and each.name in left]
    kept = retagged(behind, (record, *good_newest_first(records)), images)
    due = (*deliveries(document.spec, record, observation), *kept)
    used = record.in_use.templates
    deleted = {
        each.name
        for each in behind
        if each.name in used and is_gone(each, record, used[each.name], observation)
    }
    left_out = _left_out(record.without(deleted), due, gate)
    # What was refused at the gate is not rolled: whoever may fail alone keeps the image that is in use.
    ready = record.in_use.without(left_out)
    failed = failed_targets(document.key, record)
    fleet = sort_fleet(record.in_use, observation.targets.value, left_out=left_out, failed=failed)
    waits = any(left.reason == Reason.UNKNOWN for left in fleet.missed)
    moves, contests = ((), ()) if waits else lagging(document, ready, records, images, history)
    unread = _images_unread(gate, observation) if gate.unread else _targets_unread(fleet)
    outstanding = Outstanding(due, contests, unread)
    if not fleet.settled:
        return Stale(ready, fleet, _templates(moves), moves, outstanding=outstanding)
    if moves:
        return Unpromoted(ready, fleet, _templates(moves), moves, outstanding=outstanding)
    # What somebody else has not delivered may never come: what runs is judged without it, unless nothing does.
    judged = _is_overtaken(contests) or _judged(document, ready, records, history)
    if unread is None and (ready.templates or not due) and not judged:
        return Unpromoted(ready, fleet, outstanding=outstanding)
    if due:
        return Undelivered(ready, fleet, outstanding=outstanding)
    if unread is not None:
        return unread
    outstanding = Outstanding(contests=contests, unread=_inputs_unread(document, observation))
    settled = Contested if contests else UpToDate
    return settled(ready, fleet, outstanding=outstanding)


def _inputs_unread(document: WorkspaceRuntime, observation: Observation) -> Blocked | None:
    """Return what images are to follow and cannot be read: whether they are behind it is not known."""
    found = (unread_inputs(template, observation) for template in document.spec.templates)
    return next((Blocked.on(*each) for each in found if each is not None), None)


def _left_out(record: ReleaseRecord, due: tuple[Delivery, ...], gate: Gate) -> Mapping[str, LeftOut]:
    held = {
        name: LeftOut(f"held back: {cause.message.rstrip('.')}", Reason.TEMPLATES_HELD_BACK)
        for name, cause in gate.held_back.items()
        if name not in record.in_use.templates
    }
    awaited = {
        each.template: LeftOut(
            f"template {each.template}: its image of {record.version} is awaited", Reason.AWAITING_DELIVERY
        )
        for each in due
        if not each.ready
    }
    unread = {
        name: LeftOut(f"template {name}: its images cannot be read: {why}", Reason.UNKNOWN)
        for name, why in gate.unread.items()
    }
    return {**held, **awaited, **unread}


def _is_overtaken(contests: Iterable[Contest]) -> bool:
    """Whether a newer release has won meanwhile: that one is what a rollback returns to, until its owner says otherwise."""
    return any(contest.reason == Reason.NEWER_RELEASED for contest in contests)


def _judged(
    document: WorkspaceRuntime,
    record: ReleaseRecord,
    records: Mapping[str, ReleaseRecord],
    history: Sequence[HistoryEntry],
) -> bool:
    """Whether the verdict says that this is the version to return to.

    A fleet that went back to an earlier version must not be rolled back to the one that it left, so going back is
    a judgement of its own. Versions of another object are judged by that object, and a version that this object is
    through with is not judged again because another machine has gone on: two fleets on two versions would overrule
    each other for ever. An image that somebody else delivered after the verdict is judged once the fleet runs it.
    """
    if record.verdict is None or record.verdict.value != "Good":
        return False
    if record.publisher != document.key:
        return True
    theirs = {template.name for template in document.spec.templates if not template.build.ours}
    if any(came_after(image, record.verdict) for name, image in record.templates.items() if name in theirs):
        return False
    if bool(history) and (history[0].version, history[0].verdict) == (record.version, "Good"):
        return True
    good = last_known_good(records)
    return good is not None and good.version == record.version
