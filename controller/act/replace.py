"""Replaces one container by its successor, or brings it back: looks, asks the plan for one step, does it, looks again.

Nothing is remembered between steps but what the engine cannot show (`Progress`), so killing this program at any
point loses nothing: the next call for the same name finds the same containers and goes on, forward or back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from controller.clients.docker import Conflict, DockerEngine
from controller.clients.units import UnitView
from controller.clients.workspace import Place, Workspaces
from controller.model.container import ContainerState
from controller.model.create_spec import NEVER
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.observed import Known, Observed
from controller.model.replacement import (
    Boundary,
    Cause,
    Replaced,
    ReplaceOrder,
    ReplaceResult,
    RolledBack,
    StepObserver,
    StillBusy,
)
from controller.model.running import RuntimeReport, RuntimeState
from controller.plan.carry_over import next_spec, unfinished_networks, unsafe_shape
from controller.plan.replacement import (
    End,
    Facts,
    Failure,
    Member,
    Progress,
    Step,
    failure_seen,
    interim_names,
    next_step,
)
from controller.plan.scrub import scrub

_LOG_LINES: Final = 20
_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 0.1
_USUAL_STOP_SECONDS: Final = 10
_DRAIN_MARGIN_SECONDS: Final = 120
"""A drain must outlast our wait for it, or new work gets in between its end and the stop."""
_BLIND_LOOKS: Final = 3
_BLIND_LOOKS_CRASHED: Final = 15
_BLIND_PAUSE_SECONDS: Final = 0.2
_SHORTEST_POLL_SECONDS: Final = 0.02
_LONGEST_POLL_SECONDS: Final = 2.0
_POLL_SHARE: Final = 0.1
"""Polls pause for this share of what they have waited already: quick for the quick, cheap for the slow."""
_LOOK_AGAIN_SECONDS: Final = 0.25
_EXEC_PAUSE_SECONDS: Final = 3.0
_NO_WAY_BACK: Final = frozenset({Step.CREATE, Step.REMOVE_ORPHAN, Step.PAUSE_NEW, Step.REMOVE_OLD})
"""Steps before anything changed, or after the proof: their failure undoes nothing, the next pass repeats them."""


async def replace(
    engine: DockerEngine,
    order: ReplaceOrder,
    *,
    package: str | None = None,
    on_step: StepObserver = lambda _step, _boundary: None,
) -> ReplaceResult:
    """Bring one container to the wanted image, or finish or undo what an earlier call left.

    Args:
        engine: where the container is; the wanted image must be there already.
        order: what to do.
        package: the name whose metadata tells the version of a runtime without `/runtime`.
        on_step: told of every step before it is begun and after it is over.

    Raises:
        NotFound: there is no container of that name.
        Transient: the engine went away, or the image is not there yet; the next call goes on.
        Terminal: its shape forbids it, or somebody took its name; nothing of anybody was removed.
    """
    async with Workspaces(engine, package=package) as workspaces:
        return await _Replacement(engine, order, workspaces, on_step).run()


class _Replacement:
    """One call of `replace`."""

    def __init__(
        self, engine: DockerEngine, order: ReplaceOrder, workspaces: Workspaces, on_step: StepObserver
    ) -> None:
        self._engine = engine
        self._order = order
        self._workspaces = workspaces
        self._on_step = on_step
        self._progress = Progress()
        self._view = UnitView(engine, order.name)
        self._begun_with: str | None = None
        self._successor: str | None = None
        self._created_here = False
        self._started_here = False
        self._busy: StillBusy | None = None
        self._log_tail: tuple[str, ...] = ()
        self._down_since: float | None = None
        self._down_seconds = 0.0
        self._drain_since: float | None = None
        self._blind = 0
        self._proof_since: float | None = None
        self._exec_time = 0.0

    async def run(self) -> ReplaceResult:
        """Take steps until there is none left."""
        last: Step | None = None
        failures = 0
        while True:
            facts = await self._view.look()
            await self._judge(facts)
            step = next_step(facts, self._order.image, self._progress)
            if step is not last and last is not None:
                self._on_step(last, Boundary.AFTER)
            if isinstance(step, End):
                last = None
                result = self._end(step, facts)
                if result is not None:
                    return result
                continue
            if step is not last:
                self._on_step(step, Boundary.BEFORE)
                failures = 0
            last = step
            self._view.touched(old=step.touches_old, new=step.touches_new)
            try:
                await self._deeds(facts)[step]()
            except Problem as problem:
                failures += 1
                await self._recover(step, problem, failures)

    async def _judge(self, facts: Facts) -> None:
        """Remember who is who, and notice when there is no way forward."""
        if self._begun_with is None and facts.old is not None:
            self._begun_with = facts.old.id
        if facts.new is not None:
            self._successor = facts.new.id
        if self._progress.failure is None:
            failure = failure_seen(
                facts,
                self._order.image,
                self._progress,
                now=datetime.now(UTC),
                deadline_seconds=self._order.start_deadline_seconds,
            )
            if failure is not None:
                await self._give_up(failure)

    async def _give_up(self, failure: Failure) -> None:
        self._progress.failure = failure
        if self._view.new:
            with suppress(Problem):
                lines = await self._engine.log_tail(self._view.new["Id"], lines=_LOG_LINES)
                self._log_tail = scrub(lines, self._view.new["Config"]["Env"] or ())

    # doing

    def _deeds(self, facts: Facts) -> Mapping[Step, Callable[[], Awaitable[object]]]:
        engine = self._engine
        old = facts.old.id if facts.old else ""
        new = facts.new.id if facts.new else ""
        interim_next, interim_prev = interim_names(facts.name)
        policy = (facts.record.restart_policy if facts.record else NEVER).as_json()
        return {
            Step.REMOVE_ORPHAN: lambda: self._remove_orphan(facts.orphan_id or ""),
            Step.CREATE: self._create,
            Step.DISCONNECT: lambda: engine.disconnect(new, facts.to_disconnect or ""),
            Step.CONNECT: lambda: self._connect(new, facts.to_connect[0]),
            Step.UNPAUSE_OLD: lambda: engine.unpause(old),
            Step.DRAIN: lambda: self._drain(old),
            Step.DISARM_OLD: lambda: engine.set_restart_policy(old, NEVER.as_json()),
            Step.STOP_OLD: lambda: self._stop_old(old),
            Step.RENAME_OLD: lambda: engine.rename(old, interim_prev),
            Step.RENAME_NEW: lambda: engine.rename(new, facts.name),
            Step.START_NEW: lambda: self._start_new(new),
            Step.RESTORE_POLICY: lambda: engine.set_restart_policy(new, policy),
            Step.AWAIT_PROOF: lambda: self._await_proof(facts),
            Step.PAUSE_NEW: lambda: engine.pause(new),
            Step.REMOVE_OLD: lambda: self._remove_old(old),
            Step.UNDO_DISARM_NEW: lambda: engine.set_restart_policy(new, NEVER.as_json()),
            Step.UNDO_STOP_NEW: lambda: engine.stop(new, grace_seconds=self._grace(self._view.new)),
            Step.UNDO_RENAME_NEW: lambda: engine.rename(new, interim_next),
            Step.UNDO_RENAME_OLD: lambda: engine.rename(old, facts.name),
            Step.UNDO_START_OLD: lambda: self._start_old(old, facts),
            Step.UNDO_RESUME_OLD: self._resume_old,
            Step.UNDO_PAUSE_OLD: lambda: engine.pause(old),
            Step.UNDO_RESTORE_POLICY: lambda: engine.set_restart_policy(old, policy),
            Step.UNDO_REMOVE_NEW: lambda: self._remove_new(new),
        }

    async def _recover(self, step: Step, problem: Problem, failures: int) -> None:
        """Look again after a failed step; when it keeps failing, bring the old one back where that can be done."""
        self._view.forget()
        # A refused start is written on the container: the next look tells whose fault it is.
        passing = isinstance(problem, (Transient, NotFound)) or step is Step.START_NEW
        if passing and failures < _ATTEMPTS:
            await asyncio.sleep(_RETRY_SECONDS * failures)
            return
        if step is Step.CREATE and isinstance(problem, Conflict):
            taken, _ = interim_names(self._order.name)
            raise _name_taken(taken, "it is the interim name of a successor") from problem
        if step in _NO_WAY_BACK or step.undoes:
            raise problem
        await self._give_up(Failure(Cause.HOST, f"Step {step} failed: {problem}."))

    async def _create(self) -> None:
        image = self._order.image
        if image is None:
            raise ValueError("a successor is only made for an image")
        if self._view.stranded is not None:
            raise _name_taken(self._view.stranded, "its counterpart was removed by somebody")
        try:
            there = (await self._engine.inspect_image(image.reference))["Id"]
        except NotFound as error:
            raise Transient(f"Image {image.reference} is not in engine {self._engine.host} yet") from error
        if there != image.image_id:
            raise Transient(
                f"{image.reference} means {there} in engine {self._engine.host}, not {image.image_id}"
            )
        try:
            old_image = (await self._engine.inspect_image(self._view.old["Image"]))["Config"]
        except NotFound:
            old_image = None
        self._refuse_unsafe_shape(old_image_known=old_image is not None)
        spec = next_spec(self._view.old, old_image, image)
        next_name, _ = interim_names(self._order.name)
        self._view.created(await self._engine.create_container(next_name, spec.body))
        self._created_here = True

    def _refuse_unsafe_shape(self, *, old_image_known: bool) -> None:
        mine = self._view.old["Id"]
        reason = unsafe_shape(
            self._view.old,
            old_image_known=old_image_known,
            link_consumers=[
                name for one in self._view.listed if one.id == mine for name in one.link_consumers
            ],
            network_sharers=[one.name for one in self._view.listed if one.network_of == mine],
        )
        if reason is not None:
            raise Terminal("ShapeUnsafe", f"{self._order.name} was left alone.", fix=reason)

    async def _connect(self, new: str, network: str) -> None:
        missing, _ = unfinished_networks(self._view.old, self._view.new)
        await self._engine.connect(new, network, missing[network])

    async def _stop_old(self, old: str) -> None:
        self._down_since = time.monotonic()
        await self._engine.stop(old, grace_seconds=self._grace(self._view.old))

    async def _start_new(self, new: str) -> None:
        self._started_here = True
        await self._engine.start(new)

    async def _start_old(self, old: str, facts: Facts) -> None:
        await self._engine.start(old)
        self._progress.old_restarted = True
        self._count_down_time(facts)

    async def _resume_old(self) -> None:
        self._progress.resumed = True
        with suppress(Problem):  # one that never drained, or does not know how, takes work anyway
            await self._workspaces.resume(Place.of_inspection(self._view.old))

    async def _remove_orphan(self, orphan: str) -> None:
        await self._engine.remove(orphan)
        self._view.forget()

    async def _remove_old(self, old: str) -> None:
        with suppress(NotFound):
            await self._engine.remove(old)
        self._progress.finished = True
        self._view.removed_old()

    async def _remove_new(self, new: str) -> None:
        """Remove a failed successor.

        What the old one mounts is attached to it by name, which the engine keeps; volumes that its image asked for
        besides belong to nobody any more.
        """
        with suppress(NotFound):
            await self._engine.remove(new, anonymous_volumes=True)
        self._view.removed_new()

    def _grace(self, inspection: Mapping[str, Any]) -> int:
        if self._order.stop_grace_seconds is not None:
            return self._order.stop_grace_seconds
        own = inspection["Config"].get("StopTimeout")
        return _USUAL_STOP_SECONDS if own is None else int(own)

    # draining

    async def _drain(self, old: str) -> None:
        """Ask for no new work, then wait until none is left, its time is over, or the container has changed."""
        place, timeout = Place.of_inspection(self._view.old), self._order.drain_timeout_seconds
        self._drain_since = self._drain_since or time.monotonic()
        if self._view.old["State"]["Status"] == ContainerState.RESTARTING:
            self._progress.drained = True  # between two crashes there is no process that could have work
            return
        try:
            report = await self._workspaces.drain(place, seconds=timeout + _DRAIN_MARGIN_SECONDS)
        except Conflict:
            raise  # it does not run any more: look again
        except Transient as unknown:
            await self._drain_blindly(old, str(unknown))
            return
        while not (report.idle and report.state is RuntimeState.DRAINING):
            if time.monotonic() - self._drain_since >= timeout:
                self._end_drain(old, report)
                return
            await asyncio.sleep(_pause(self._drain_since))
            observed = await self._workspaces.report(place)
            if not isinstance(observed, Known) or observed.value.state is RuntimeState.SERVING:
                return  # it went, or started again and knows nothing of the drain: look again
            report = observed.value
        self._progress.drained = True

    async def _drain_blindly(self, old: str, reason: str) -> None:
        """Without an answer, work may be in progress: wait for the time that it is given, or leave it alone.

        One that is just being stopped, or crashes all the time, does not answer either: look at it some more first.
        """
        self._blind += 1
        left = self._order.drain_timeout_seconds - (time.monotonic() - (self._drain_since or 0.0))
        if self._blind < (_BLIND_LOOKS_CRASHED if self._view.old["RestartCount"] else _BLIND_LOOKS):
            await asyncio.sleep(min(_BLIND_PAUSE_SECONDS, max(left, 0.0)))
        elif self._order.on_timeout == "Wait":
            self._give_up_busy(StillBusy(old, f"it cannot be told whether work is in progress: {reason}"))
        elif left > 0:
            await asyncio.sleep(min(left, _EXEC_PAUSE_SECONDS))
        else:
            self._progress.drained = True

    def _end_drain(self, old: str, report: RuntimeReport) -> None:
        """Decide what follows when the time for work in progress is over.

        A wedged process had the same time to recover; waiting for its tasks any longer would keep out the cure.
        """
        if self._order.on_timeout == "Proceed" or report.state is RuntimeState.WEDGED:
            self._progress.drained = True
            return
        reason = f"work in progress did not end within {self._order.drain_timeout_seconds:g} s"
        self._give_up_busy(StillBusy(old, reason, report.active_tasks, report.oldest_task_seconds))

    def _give_up_busy(self, busy: StillBusy) -> None:
        self._busy = busy
        self._progress.failure = Failure(Cause.BUSY, busy.reason)

    # proving

    async def _await_proof(self, facts: Facts) -> None:
        """Ask the new process until it answers, or until it is time to look at its container again."""
        place = Place.of_inspection(self._view.new)
        begun = time.monotonic()
        self._proof_since = self._proof_since or begun
        while time.monotonic() - begun < _LOOK_AGAIN_SECONDS:
            by_exec = self._exec_is_due(place)
            await self._weigh(await self._workspaces.report(place, by_exec=by_exec), facts)
            if self._progress.proven_start is not None or self._progress.failure is not None:
                return
            await asyncio.sleep(_pause(self._proof_since))

    def _exec_is_due(self, place: Place) -> bool:
        """An exec costs the starting process its processor time, so it comes late where HTTP may still answer."""
        usable = self._engine.is_local and place.url is not None
        since = max(self._exec_time, (self._proof_since or 0.0) if usable else 0.0)
        if time.monotonic() - since < _EXEC_PAUSE_SECONDS:
            return False
        self._exec_time = time.monotonic()
        return True

    async def _weigh(self, observed: Observed[RuntimeReport], facts: Facts) -> None:
        self._progress.asked_for_proof = True
        if not isinstance(observed, Known):
            return
        report, wanted = observed.value, facts.succeeds
        if not report.is_version(wanted.version, wanted.content_sha256):
            message = (
                f"The new container reports {report.package} {report.version} with content {report.content_sha256}, "
                f"not {wanted.version} with {wanted.content_sha256}."
            )
            await self._give_up(Failure(Cause.WRONG_VERSION, message))
        elif report.state not in {RuntimeState.STARTING, RuntimeState.WEDGED}:
            self._progress.proven_start = facts.new.started_at if facts.new is not None else None
            self._count_down_time(facts)

    def _count_down_time(self, facts: Facts) -> None:
        if self._down_since is not None:
            self._down_seconds = time.monotonic() - self._down_since
        elif facts.old is not None and facts.old.finished_at is not None and facts.succeeds.was.has_process:
            self._down_seconds = max(0.0, (datetime.now(UTC) - facts.old.finished_at).total_seconds())

    # ending

    def _end(self, end: End, facts: Facts) -> ReplaceResult | None:
        """Return the result, or None when an undone successor makes room for the wanted one."""
        if end is End.NAME_TAKEN:
            raise _name_taken(
                self._order.name, f"{' and '.join(interim_names(self._order.name))} wait for it"
            )
        if facts.old is None or end is End.GONE:
            raise NotFound(f"Engine {self._engine.host} has no container {self._order.name}")
        if end is End.UNDONE:
            return self._undone(facts.old)
        if end is End.UNCHANGED and facts.old.id == self._successor:
            raise Terminal(
                "OldContainerGone",
                f"Somebody removed the old container of {self._order.name} before its successor was proven.",
                fix="Nothing can be brought back; look at the log of the container that runs now.",
            )
        if end is End.AWAITING_FIRST_START and facts.new is not None:
            return Replaced(facts.old.id, facts.new.id, awaiting_first_start=True)
        begun_with = self._begun_with or facts.old.id
        changed = end is End.FINISHED
        return Replaced(begun_with, facts.old.id, changed=changed, seconds_down=self._down_seconds)

    def _undone(self, old: Member) -> ReplaceResult | None:
        failure = self._progress.failure
        if failure is None or self._busy is not None:
            return self._busy
        if failure.cause is Cause.SUPERSEDED and self._order.image is not None and not self._created_here:
            self._progress, self._successor, self._log_tail = Progress(), None, ()
            return None
        return RolledBack(
            old.id, failure.cause, failure.message, self._started_here, self._log_tail, self._down_seconds
        )


def _name_taken(name: str, why: str) -> Terminal:
    return Terminal(
        "NameTaken",
        f"A container that is not part of the replacement has the name {name}; {why}.",
        fix=f"Remove or rename that {name}; the next pass then goes on, forward or back.",
    )


def _pause(since: float) -> float:
    waited = time.monotonic() - since
    return min(max(waited * _POLL_SHARE, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)
