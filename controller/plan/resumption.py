"""Whether the object's owner asks by annotation to let its version go on, and what that frees. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_RESUME
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Resume, TagMove
from controller.model.observed import Observed, Unknown
from controller.model.record import ReleaseRecord
from controller.plan.state import Held, State, outstanding_of
from controller.plan.tags import Contest


def resumption(
    document: WorkspaceRuntime, state: State, records: Observed[Mapping[str, ReleaseRecord]]
) -> Resume | None:
    """Return what is to be done about the annotation; None where there is none, or it was taken up, or may not be now."""
    version, stopped = document.spec.version, isinstance(state, Held) and state.by_owner
    if stopped or isinstance(records, Unknown) or not document.metadata.resumes(version):
        return None
    record, request = records.value.get(version), request_of(document)
    if record is None or request in record.resume_requests:
        return None
    outstanding = outstanding_of(state)
    taken = () if record.failed else takeable(outstanding.contests)
    moves = (TagMove(each.template, each.tag.rpartition(":")[2], each.digest) for each in taken)
    told = any(each.sent for each in outstanding.deliveries)
    return Resume(version, request, f"annotation {ANNOTATION_RESUME} asks for it", told, tuple(moves))


def request_of(document: WorkspaceRuntime) -> str:
    """Return what a record knows the request by: another object's is another one, and the same object made anew asks nothing new."""
    return f"{document.key} {document.metadata.resume}"


def takeable(contests: tuple[Contest, ...]) -> tuple[Contest, ...]:
    """Return the tags that may be taken by a word of this object's owner; those of another object are not."""
    return tuple(each for each in contests if each.reason != Reason.PUBLISHER_CONFLICT)
