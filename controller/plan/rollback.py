"""Whether the object's owner asks to go back from its version, and to which release. Pure.

What is taken up stands in the record of the version that is left, so that it holds on every machine and cluster that reads
it, whatever becomes of the request, the object and the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from controller.api.annotations import LAST_KNOWN_GOOD
from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_ROLLBACK_TO
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import RollBack
from controller.model.observed import Observed, Unknown
from controller.model.record import ReleaseRecord, Verdict
from controller.plan.known_good import last_known_good, may_be_run
from controller.plan.state import Held, State

Records = Mapping[str, ReleaseRecord]


def rollback(document: WorkspaceRuntime, state: State, records: Observed[Records]) -> RollBack | None:
    """Return what is to be done about the annotation; None where there is none, it was taken up, or cannot or may not be now."""
    stopped = isinstance(state, Held) and state.by_owner
    if stopped or isinstance(records, Unknown) or not is_new(document, records.value):
        return None
    to = destination(records.value, document.spec.version, document.metadata.rolls_back_to)
    if isinstance(to, str):
        return None
    reason = f"annotation {ANNOTATION_ROLLBACK_TO} asks for it"
    return RollBack(document.spec.version, to.version, request_of(document), reason)


def refusal(document: WorkspaceRuntime, records: Observed[Records]) -> str | None:
    """Return why what the annotation asks for cannot be done; None where it can, was, or that is not known."""
    if isinstance(records, Unknown) or not is_new(document, records.value):
        return None
    to = destination(records.value, document.spec.version, document.metadata.rolls_back_to)
    return to if isinstance(to, str) else None


def is_new(document: WorkspaceRuntime, records: Records) -> bool:
    """Whether the annotation asks for something that was not taken up yet, for this version or one before."""
    metadata = document.metadata
    asked = metadata.rollback_to is not None and metadata.rolls_back_from(document.spec.version)
    return asked and not is_taken_up(document, records)


def is_taken_up(document: WorkspaceRuntime, records: Records) -> bool:
    """Whether a record has it noted that the request was taken up."""
    return any(request_of(document) in each.rollback_requests for each in records.values())


def request_of(document: WorkspaceRuntime) -> str:
    """Return what a record knows the request by: the same object made anew asks nothing new."""
    return f"{document.key} {document.metadata.rollback_to}"


def destination(records: Records, version: str, to: str | None) -> ReleaseRecord | str:
    """Return the release that targets go back to from `version`, or why there is none; without `to` the last known good."""
    others = ", ".join(sorted(records.keys() - {version})) or "none"
    if version not in records:
        return f"Version {version} has no record, so there is nothing to go back from."
    if to is None or to == LAST_KNOWN_GOOD:
        good = last_known_good(records, but=version)
        return good or f"No other version was found good. Recorded besides {version}: {others}."
    if to == version:
        return f"{to} is the version that the object asks for."
    found = records.get(to)
    if found is None:
        return f"Version {to} has no record. Recorded besides {version}: {others}."
    if found.failed and found.verdict is not None:
        return f"Version {to} is held itself: {found.verdict.message}"
    if not runnable(found).templates:
        return f"No image of version {to} has passed the gate."
    return found.in_use


def runnable(record: ReleaseRecord) -> ReleaseRecord:
    """Return the record with what targets may be brought to."""
    used = record.in_use
    return used.without([name for name, image in used.templates.items() if not may_be_run(image)])


def rolled_back(record: ReleaseRecord, to: str, now: datetime) -> ReleaseRecord:
    """Return the record of a version that its owner has left for `to`."""
    message = f"Its owner went back from {record.version} to {to}."
    verdict = Verdict(value="Failed", reason=Reason.ROLLED_BACK, message=message, time=now, returns_to=to)
    return record.judged(verdict)
