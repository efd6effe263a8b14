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

from controller.act._drain import Draining
from controller.act._proof import Proving
from controller.clients.docker import Conflict, DockerEngine
from controller.clients.units import UnitView
from controller.clients.workspace import Place, Workspaces
from controller.model.container import ContainerState
from controller.model.create_spec import NEVER, RestartPolicy
from controller.model.errors import NotFound, Problem, Terminal, Transient
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
from controller.plan.carry_over import next_spec, unfinished_networks, unsafe_shape
from controller.plan.replacement import End, Failure, Progress, Step, interim_names, next_step
from controller.plan.replacement_facts import Facts, Member
from controller.plan.scrub import scrub
from controller.plan.setback import failure_seen

_LOG_LINES: Final = 20
_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 0.1
_REFUSED_SECONDS: Final = 1.0
_USUAL_STOP_SECONDS: Final = 10
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
        self._draining = Draining(workspaces, order)
        self._proving = Proving(workspaces)
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
        policy = facts.record.restart_policy if facts.record else NEVER
        return {
            Step.REMOVE_ORPHAN: lambda: self._remove_orphan(facts.orphan_id or ""),
            Step.CREATE: self._create,
            Step.DISCONNECT: lambda: engine.disconnect(new, facts.to_disconnect or ""),
            Step.CONNECT: lambda: self._connect(new, facts.to_connect[0]),
            Step.UNPAUSE_OLD: lambda: engine.unpause(old),
            Step.DRAIN: lambda: self._drain(facts),
            Step.DISARM_OLD: self._disarm_old,
            Step.STOP_OLD: lambda: self._stop_old(old),
            Step.RENAME_OLD: lambda: self._rename(self._view.old, interim_prev),
            Step.RENAME_NEW: lambda: self._rename(self._view.new, facts.name),
            Step.START_NEW: lambda: self._start_new(
                new, again=facts.new is not None and facts.new.started_at is not None
            ),
            Step.RESTORE_POLICY: lambda: self._arm(self._view.new, policy),
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
            Step.UNDO_RESTORE_POLICY: lambda: engine.set_restart_policy(old, policy.as_json()),
            Step.UNDO_REMOVE_NEW: lambda: self._remove_new(new),
        }

    async def _recover(self, step: Step, problem: Problem, failures: int) -> None:
        """Look again after a failed step; when it keeps failing, bring the old one back where that can be done."""
        self._view.forget()
        # A refused start is written on the container: the next look tells whose fault it is.
        passing = isinstance(problem, (Transient, NotFound)) or step is Step.START_NEW
        if (passing or step.undoes) and failures < _ATTEMPTS:
            # An engine that is shutting down refuses what it will do again in a moment; a way back is not given up for it.
            await asyncio.sleep((_RETRY_SECONDS if passing else _REFUSED_SECONDS) * failures)
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
        await self._expect_to_stay(self._view.old)
        spec = next_spec(self._view.old, old_image, image)
        next_name, _ = interim_names(self._order.name)
        self._view.created(await self._engine.create_container(next_name, spec.body))
        self._created_here = True

    async def _expect_to_stay(self, old: Mapping[str, Any]) -> None:
        """Let the old one's state be recorded only where it is its own: an engine that shuts down ends all it has."""
        if not ContainerState(old["State"]["Status"]).has_process:
            await self._engine.prove_up()
            again = await self._engine.inspect_container(old["Id"])
            if again["State"]["StartedAt"] != old["State"]["StartedAt"]:
                raise Transient(f"{self._order.name} was started while its successor was made")

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
        self._view.stopped_old()

    async def _rename(self, member: dict[str, Any], name: str) -> None:
        await self._engine.rename(member["Id"], name)
        self._view.renamed(member, name)

    async def _disarm_old(self) -> None:
        self._progress.disarmed = True
        await self._arm(self._view.old, NEVER)

    async def _arm(self, member: dict[str, Any], policy: RestartPolicy) -> None:
        await self._engine.set_restart_policy(member["Id"], policy.as_json())
        self._view.armed(member, policy.as_json())

    async def _start_new(self, new: str, *, again: bool) -> None:
        self._started_here = True
        self._progress.started_again |= again
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

    async def _drain(self, facts: Facts) -> None:
        outcome = await self._draining.go_on(self._view.old)
        if isinstance(outcome, StillBusy):
            self._busy = outcome
            self._progress.failure = Failure(Cause.BUSY, outcome.reason)
        self._progress.drained = outcome == "Drained"
        if facts.old is not None:
            crashed = facts.old.state is ContainerState.RESTARTING
            self._progress.drained_start = None if crashed else facts.old.started_at

    async def _await_proof(self, facts: Facts) -> None:
        outcome = await self._proving.go_on(self._view.new, facts.succeeds)
        self._progress.asked_for_proof = True
        if outcome != "LookAgain":
            self._view.touched()  # the old one was left alone for as long as this took
        if isinstance(outcome, Failure):
            await self._give_up(outcome)
        elif outcome == "Proven":
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
