"""Which step brings a container to its successor, or back, from nothing but what the engine shows. Pure.

The order is the architecture's: the successor is created complete, the old one drains and is disarmed (restart
policy `no`), stops and makes room under an interim name, the successor takes the name and starts, and the old one is
removed only when the successor has reported from inside. Every step's effect is visible in the engine, so whoever
comes after a crash sees the same next step. Undoing runs the other way and removes the successor last, because its
label is the only record of the old one's restart policy and state.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from controller.model.container import NEXT_PREFIX, PREV_PREFIX, ContainerState
from controller.model.create_spec import NEVER, RestartPolicy
from controller.model.replacement import Cause, WantedImage
from controller.plan.replacement_facts import Facts, Member


class Step(enum.StrEnum):
    """One thing to do to the containers of a name."""

    REMOVE_ORPHAN = "RemoveOrphan"
    CREATE = "Create"
    DISCONNECT = "Disconnect"
    CONNECT = "Connect"
    UNPAUSE_OLD = "UnpauseOld"
    DRAIN = "Drain"
    DISARM_OLD = "DisarmOld"
    STOP_OLD = "StopOld"
    RENAME_OLD = "RenameOld"
    RENAME_NEW = "RenameNew"
    START_NEW = "StartNew"
    RESTORE_POLICY = "RestorePolicy"
    AWAIT_PROOF = "AwaitProof"
    PAUSE_NEW = "PauseNew"
    REMOVE_OLD = "RemoveOld"

    UNDO_DISARM_NEW = "UndoDisarmNew"
    UNDO_STOP_NEW = "UndoStopNew"
    UNDO_RENAME_NEW = "UndoRenameNew"
    UNDO_RENAME_OLD = "UndoRenameOld"
    UNDO_START_OLD = "UndoStartOld"
    UNDO_RESUME_OLD = "UndoResumeOld"
    UNDO_PAUSE_OLD = "UndoPauseOld"
    UNDO_RESTORE_POLICY = "UndoRestorePolicy"
    UNDO_REMOVE_NEW = "UndoRemoveNew"

    @property
    def undoes(self) -> bool:
        """Whether it leads back to the old container."""
        return self.value.startswith("Undo")

    @property
    def touches_old(self) -> bool:
        """Whether the old one is to be looked at again afterwards; always after a step that may wait for long."""
        return self not in _NEW_ONLY | _TOLD

    @property
    def touches_new(self) -> bool:
        """Whether the new one is to be looked at again afterwards."""
        return self not in _OLD_ONLY | _TOLD


_NEW_ONLY = frozenset(
    {
        Step.START_NEW,
        Step.AWAIT_PROOF,
        Step.PAUSE_NEW,
        Step.UNDO_DISARM_NEW,
        Step.UNDO_STOP_NEW,
        Step.UNDO_RENAME_NEW,
    }
)
_OLD_ONLY = frozenset({Step.UNPAUSE_OLD, Step.UNDO_RENAME_OLD})
_TOLD = frozenset(
    {Step.DISARM_OLD, Step.STOP_OLD, Step.RENAME_OLD, Step.RENAME_NEW, Step.RESTORE_POLICY, Step.REMOVE_OLD}
)
"""Steps whose whole effect the engine's answer tells. Between stopping and starting, a look is an outage."""


class End(enum.StrEnum):
    """Nothing is left to do."""

    UNCHANGED = "Unchanged"
    """The holder of the name runs the wanted image already, or nothing was under way."""
    FINISHED = "Finished"
    AWAITING_FIRST_START = "AwaitingFirstStart"
    UNDONE = "Undone"
    NAME_TAKEN = "NameTaken"
    """A container that is not ours holds the name: nothing of anybody is touched."""
    GONE = "Gone"
    """No container of that name, or an interim one whose counterpart was removed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the old one must come back."""

    cause: Cause
    message: str


@dataclass(slots=True)
class Progress:
    """What this action learned and the engine does not show. Losing it costs a repeated question, nothing else."""

    drained: bool = False
    drained_start: datetime | None = None
    """When the process that drained was started: one that was started since knows nothing of it. None where between two
    crashes there was no process that could have had work."""
    disarmed: bool = False
    """Whether the engine was asked not to start the old one again. Asked in the moment in which the process ends it
    refuses, and still does so: only the policy that it shows stays as it was (moby 20.10, daemon/update.go)."""
    proven_start: datetime | None = None
    """When the process that gave the proof was started. Its address may pass to another container the moment it
    ends, so a proof only holds for a process that a later look still finds running."""
    finished: bool = False
    asked_for_proof: bool = False
    started_again: bool = False
    """Whether a successor that somebody had ended was given its second start: a second end is its own fault."""
    refused_starts: int = 0
    """How often an engine that was up afterwards refused to start the successor. One that is shutting down refuses, too,
    in the words of whatever part of it has ended by then, and what it said stays written on the container."""
    resumed: bool = False
    old_restarted: bool = False
    failure: Failure | None = None


def next_step(facts: Facts, wanted: WantedImage | None, progress: Progress) -> Step | End:
    """Return what to do next; `progress.failure`, or else `setback.failure_seen`, decides the direction before."""
    if facts.foreign_id is not None:
        return End.NAME_TAKEN
    if facts.orphan_id is not None:
        return Step.REMOVE_ORPHAN
    if facts.old is None:
        return End.GONE
    if facts.new is None:
        return _without_successor(facts.old, wanted, progress)
    if progress.failure is not None:
        return _back(facts, facts.old, facts.new, progress)
    return _forward(facts, facts.old, facts.new, progress)


def _without_successor(holder: Member, wanted: WantedImage | None, progress: Progress) -> Step | End:
    if progress.failure is not None:
        return End.UNDONE
    if progress.finished:
        return End.FINISHED
    if wanted is None or holder.image_id == wanted.image_id:
        return End.UNCHANGED
    return Step.CREATE


def _forward(facts: Facts, old: Member, new: Member, progress: Progress) -> Step | End:
    if new.started_at is not None:
        return _prove(facts, new, progress)
    if facts.to_disconnect:
        return Step.DISCONNECT
    if facts.to_connect:
        return Step.CONNECT
    runs = facts.succeeds.was.has_process
    if runs and old.state.has_process:
        return _stop(old, progress)
    if old.policy != NEVER:
        return Step.DISARM_OLD
    if old.name == facts.name:
        return Step.RENAME_OLD
    if new.name != facts.name:
        return Step.RENAME_NEW
    if runs:
        return Step.START_NEW
    return Step.RESTORE_POLICY if new.policy != _policy(facts) else End.AWAITING_FIRST_START


def _stop(old: Member, progress: Progress) -> Step:
    if old.state is ContainerState.PAUSED:
        return Step.UNPAUSE_OLD
    if not progress.drained or progress.drained_start not in {None, old.started_at}:
        return Step.DRAIN
    # NOTE: The engine starts what we stopped again when it restarts itself, unless the policy says no by then.
    return Step.DISARM_OLD if old.policy != NEVER else Step.STOP_OLD


def _prove(facts: Facts, new: Member, progress: Progress) -> Step | End:
    if new.policy != _policy(facts):
        return Step.RESTORE_POLICY
    paused = facts.succeeds.was is ContainerState.PAUSED
    if paused and new.state is ContainerState.PAUSED:
        return Step.REMOVE_OLD  # only a proven successor is paused by us
    if not new.state.has_process:
        return Step.START_NEW  # `setback` tells an end from outside from one of its own
    if not is_proven(new, progress):
        return Step.AWAIT_PROOF
    return Step.PAUSE_NEW if paused else Step.REMOVE_OLD


def is_proven(new: Member, progress: Progress) -> bool:
    """Whether the process of `new` that runs now gave the proof."""
    return new.started_at is not None and new.started_at == progress.proven_start


def _back(facts: Facts, old: Member, new: Member, progress: Progress) -> Step | End:
    if new.state.has_process:
        return Step.UNDO_DISARM_NEW if new.policy != NEVER else Step.UNDO_STOP_NEW
    if new.name == facts.name:
        return Step.UNDO_RENAME_NEW
    if old.name != facts.name:
        return Step.UNDO_RENAME_OLD
    # A stopped target's successor is only ever started by somebody who wants it to run.
    wanted_up = facts.succeeds.was.has_process or new.started_at is not None
    runs = wanted_up and not stopped_by_somebody(facts, old, new, progress)
    if runs and not old.state.has_process:
        return Step.UNDO_START_OLD
    if runs and old.state is ContainerState.RUNNING:
        if not progress.resumed and not progress.old_restarted:
            return Step.UNDO_RESUME_OLD
        if facts.succeeds.was is ContainerState.PAUSED:
            return Step.UNDO_PAUSE_OLD
    if old.policy != _policy(facts):
        return Step.UNDO_RESTORE_POLICY
    return Step.UNDO_REMOVE_NEW


def _policy(facts: Facts) -> RestartPolicy:
    return facts.record.restart_policy if facts.record is not None else NEVER


def stopped_by_somebody(facts: Facts, old: Member, new: Member, progress: Progress) -> bool:
    """Whether its owner stopped the old one, and so wants it down.

    We set the restart policy to `no` before we stop it. Where that is the container's own policy, or we have asked for
    it, the two cannot be told apart, and it counts as ours: a workspace that runs again is the smaller harm than one that
    stays down.
    """
    ran = facts.succeeds.was.has_process and new.started_at is None
    return ran and not old.state.has_process and old.policy != NEVER and not progress.disarmed


def interim_names(name: str) -> tuple[str, str]:
    """Return the names of the successor before, and of the old one after, the switch."""
    return NEXT_PREFIX + name, PREV_PREFIX + name
