"""What keeps wanted actions from beginning although nothing is wrong: an approval that is missing, windows that are closed. Pure.

Preparations go on, what was begun is finished, and a rollback asks nobody and waits for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, Dispatch, Judge, Promote, Publish, Replace, Tag
from controller.model.plan import Stop
from controller.model.record import ReleaseRecord
from controller.plan.state import Released, Stale, State, Unpublished
from controller.plan.windows import is_open, next_opening

_APPROVED = (Tag, Publish, Dispatch, Replace, Promote, Judge)
"""What lets others get what has passed the gate."""


def stop_of(
    document: WorkspaceRuntime, state: State, now: datetime, *, record: ReleaseRecord | None
) -> Stop | None:
    """Return what keeps actions of `state` from beginning at `now` (aware UTC); None where nothing does.

    `record` is the version's, with all of its images; None where it is not known.
    """
    stop = _unapproved(document, state, record)
    return _outside(document, now) if stop is None and isinstance(state, Stale) else stop


def admitted(state: State, ready: Sequence[Action], stop: Stop | None) -> list[Action]:
    """Return those of `ready` that may begin although `stop` keeps others from it."""
    if stop is None:
        return list(ready)
    begun = (
        {target.id for target in state.fleet.stale if target.in_transition}
        if isinstance(state, Stale)
        else set()
    )
    kinds = _APPROVED if stop.hash is not None else (Replace,)
    return [action for action in ready if not isinstance(action, kinds) or _is_begun(action, begun)]


def _is_begun(action: Action, begun: Collection[str]) -> bool:
    return isinstance(action, Replace) and (action.image_id is None or action.target in begun)


def _unapproved(document: WorkspaceRuntime, state: State, record: ReleaseRecord | None) -> Stop | None:
    """Return that a person has to approve what comes next; None where nobody has to, or somebody did."""
    past_the_gate = isinstance(state, Released | Unpublished)
    if document.spec.rollout.approval == "None" or not past_the_gate or record is None:
        return None
    wanted = approval_hash(document, record)
    if document.metadata.approved == wanted:
        return None
    text = f"Version {record.version} has passed the gate and waits for approval of {wanted}."
    return Stop(Reason.AWAITING_APPROVAL, text, hash=wanted)


def approval_hash(document: WorkspaceRuntime, record: ReleaseRecord) -> str:
    """Return the SHA-256, in hex, of what is approved: version, wheel, the images that are built here, and the rollout.

    Targets come and go, and what somebody else builds of a public version is not known before; neither is in it.
    """
    used = record.in_use.templates
    ours = {each.name for each in document.spec.templates if each.build.ours}
    images = {name: image.identity for name, image in sorted(used.items()) if name in ours}
    rollout = document.spec.rollout.model_dump(mode="json", exclude_defaults=True)
    content = [record.version, record.wheel.sha256, images, rollout]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _outside(document: WorkspaceRuntime, now: datetime) -> Stop | None:
    """Return that no window is open; None where one is, none is named, or somebody overrides them."""
    windows = document.spec.rollout.windows
    if not windows or document.metadata.override is not None or is_open(windows, now):
        return None
    opening = next_opening(windows, now)
    when = (
        f"the next one opens at {opening:%Y-%m-%dT%H:%M:%SZ}"
        if opening
        else "none opens in the next two weeks"
    )
    return Stop(Reason.OUTSIDE_WINDOW, f"no window is open, {when}", until=opening)
