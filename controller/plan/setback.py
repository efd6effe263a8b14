"""Why a replacement cannot go forward and the old container must come back, from what the engine shows. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from controller.model.container import PREV_PREFIX, ContainerState
from controller.model.replacement import Cause, WantedImage
from controller.plan.replacement import Failure, Progress, is_proven, stopped_by_somebody
from controller.plan.replacement_facts import Facts, Member

_HOST_FAULTS: Final = re.compile(
    r"port is already allocated|address already in use|external connectivity|network \S+ not found"
    r"|error while creating mount source path|no space left|cannot allocate memory|Address already in use"
    r"|non running container|error mounting|no such device"
    # an engine that is shutting down, or whose containerd went away
    r"|: unavailable$|transport is closing|ttrpc: closed|context canceled|shutting down|connection error",
    re.IGNORECASE,
)

_REFUSALS_BELIEVED: Final = 2
"""Where a service manager holds the engine's socket, the one refusal may be its last word before it was started anew."""


def failure_seen(
    facts: Facts, wanted: WantedImage | None, progress: Progress, *, now: datetime, deadline_seconds: float
) -> Failure | None:
    """Return why the replacement under way cannot go forward, from facts alone; None when it can, or none is."""
    old, new = facts.old, facts.new
    if old is None or new is None:
        return None
    if new.started_at is None:
        return _not_started(facts, old, new, wanted, progress)
    if new.state is ContainerState.PAUSED and facts.succeeds.was is ContainerState.PAUSED:
        return None
    if _may_start_again(facts, old, new) and not progress.started_again:
        return None
    if new.state not in {ContainerState.RUNNING, ContainerState.PAUSED}:
        return Failure(Cause.EXITED, f"The new container {_how_ended(new)} before it reported its version.")
    if new.restart_count:
        return Failure(
            Cause.EXITED, f"The new container ended {new.restart_count} times before it reported its version."
        )
    if new.name != facts.name:
        return Failure(Cause.HOST, f"Somebody started {new.name} before it took over.")
    age = (now - new.started_at).total_seconds()
    if age > deadline_seconds and progress.asked_for_proof and not is_proven(new, progress):
        return Failure(
            Cause.NEVER_READY,
            f"The new container did not report its version within {deadline_seconds:g} s of its start.",
        )
    return None


def _may_start_again(facts: Facts, old: Member, new: Member) -> bool:
    """Whether the successor has the place of the old one, and somebody ended it: its engine, as a rule.

    So it looks as well when a run died that was undoing it: then it is started, fails again, and is undone again.
    """
    took_over = new.name == facts.name and not old.state.has_process
    return took_over and new.ended_from_outside and facts.succeeds.was.has_process


def _not_started(
    facts: Facts, old: Member, new: Member, wanted: WantedImage | None, progress: Progress
) -> Failure | None:
    if new.error or new.exit_code:
        cause = Cause.HOST if _HOST_FAULTS.search(new.error) else Cause.NOT_STARTED
        undone = old.state.has_process  # by a run that died while it undid this
        if cause is Cause.NOT_STARTED and progress.refused_starts < _REFUSALS_BELIEVED and not undone:
            return None
        return Failure(
            cause,
            f"The engine could not start the new container: {new.error or f'exit code {new.exit_code}'}.",
        )
    if _at_rest(facts, old, new) and wanted is None:
        return None
    if wanted is None or wanted.image_id != new.image_id:
        return Failure(Cause.SUPERSEDED, "Another image is wanted by now.")
    if stopped_by_somebody(facts, old, new, progress):
        return Failure(
            Cause.STOPPED_MEANWHILE, f"Somebody stopped {facts.name} before its successor took over."
        )
    if not facts.succeeds.was.has_process and old.state.has_process:
        return Failure(Cause.SUPERSEDED, f"Somebody started {old.name} before its successor took over.")
    return None


def _at_rest(facts: Facts, old: Member, new: Member) -> bool:
    return (
        not facts.succeeds.was.has_process and new.name == facts.name and old.name == PREV_PREFIX + facts.name
    )


def _how_ended(member: Member) -> str:
    text = f" ({member.error})" if member.error else ""
    return f"ended with exit code {member.exit_code}{text}"
