"""What each step of a replacement does to the engine, and what is learned from it that the engine does not show."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from controller.act._drain import Draining
from controller.act._proof import Proving
from controller.clients.docker import DockerEngine
from controller.clients.units import UnitView
from controller.clients.workspace import Place, Workspaces
from controller.model.container import ContainerState
from controller.model.create_spec import NEVER, RestartPolicy
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.replacement import Cause, ReplaceOrder, StillBusy
from controller.plan.carry_over import next_spec, unfinished_networks, unsafe_shape
from controller.plan.replacement import Failure, Progress, Step, interim_names
from controller.plan.replacement_facts import Facts
from controller.plan.scrub import scrub

_LOG_LINES: Final = 20
_USUAL_STOP_SECONDS: Final = 10


class Deeds:
    """The steps of one call of `replace`, and what is left of them for the next one and for the result."""

    def __init__(self, engine: DockerEngine, order: ReplaceOrder, workspaces: Workspaces) -> None:
        self._engine = engine
        self._order = order
        self._workspaces = workspaces
        self._draining = Draining(workspaces, order)
        self._proving = Proving(workspaces)
        self._down_since: float | None = None
        self.view = UnitView(engine, order.name)
        self.progress = Progress()
        self.busy: StillBusy | None = None
        self.created_here = False
        self.started_here = False
        self.log_tail: tuple[str, ...] = ()
        self.down_seconds = 0.0

    def of(self, facts: Facts) -> Mapping[Step, Callable[[], Awaitable[object]]]:
        """Return what each step does to the containers that `facts` show."""
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
            Step.RENAME_OLD: lambda: self._rename(self.view.old, interim_prev),
            Step.RENAME_NEW: lambda: self._rename(self.view.new, facts.name),
            Step.START_NEW: lambda: self._start_new(
                new, again=facts.new is not None and facts.new.started_at is not None
            ),
            Step.RESTORE_POLICY: lambda: self._arm(self.view.new, policy),
            Step.AWAIT_PROOF: lambda: self._await_proof(facts),
            Step.PAUSE_NEW: lambda: engine.pause(new),
            Step.REMOVE_OLD: lambda: self._remove_old(old),
            Step.UNDO_DISARM_NEW: lambda: engine.set_restart_policy(new, NEVER.as_json()),
            Step.UNDO_STOP_NEW: lambda: engine.stop(new, grace_seconds=self._grace(self.view.new)),
            Step.UNDO_RENAME_NEW: lambda: engine.rename(new, interim_next),
            Step.UNDO_RENAME_OLD: lambda: engine.rename(old, facts.name),
            Step.UNDO_START_OLD: lambda: self._start_old(old, facts),
            Step.UNDO_RESUME_OLD: self._resume_old,
            Step.UNDO_PAUSE_OLD: lambda: engine.pause(old),
            Step.UNDO_RESTORE_POLICY: lambda: engine.set_restart_policy(old, policy.as_json()),
            Step.UNDO_REMOVE_NEW: lambda: self._remove_new(new),
        }

    async def give_up(self, failure: Failure) -> None:
        """Turn round: keep why, and what the successor said last."""
        self.progress.failure = failure
        if self.view.new:
            with suppress(Problem):
                lines = await self._engine.log_tail(self.view.new["Id"], lines=_LOG_LINES)
                self.log_tail = scrub(lines, self.view.new["Config"]["Env"] or ())

    async def _create(self) -> None:
        image = self._order.image
        if image is None:
            raise ValueError("a successor is only made for an image")
        if self.view.stranded is not None:
            raise name_taken(self.view.stranded, "its counterpart was removed by somebody")
        try:
            there = (await self._engine.inspect_image(image.reference))["Id"]
        except NotFound as error:
            raise Transient(f"Image {image.reference} is not in engine {self._engine.host} yet") from error
        if there != image.image_id:
            raise Transient(
                f"{image.reference} means {there} in engine {self._engine.host}, not {image.image_id}"
            )
        try:
            old_image = (await self._engine.inspect_image(self.view.old["Image"]))["Config"]
        except NotFound:
            old_image = None
        self._refuse_unsafe_shape(old_image_known=old_image is not None)
        await self._expect_to_stay(self.view.old)
        spec = next_spec(self.view.old, old_image, image)
        next_name, _ = interim_names(self._order.name)
        self.view.created(await self._engine.create_container(next_name, spec.body))
        self.created_here = True

    async def _expect_to_stay(self, old: Mapping[str, Any]) -> None:
        """Let the old one's state be recorded only where it is its own: an engine that shuts down ends all it has."""
        if not ContainerState(old["State"]["Status"]).has_process:
            await self._engine.prove_up()
            again = await self._engine.inspect_container(old["Id"])
            if again["State"]["StartedAt"] != old["State"]["StartedAt"]:
                raise Transient(f"{self._order.name} was started while its successor was made")

    def _refuse_unsafe_shape(self, *, old_image_known: bool) -> None:
        mine = self.view.old["Id"]
        reason = unsafe_shape(
            self.view.old,
            old_image_known=old_image_known,
            link_consumers=[
                name for one in self.view.listed if one.id == mine for name in one.link_consumers
            ],
            network_sharers=[one.name for one in self.view.listed if one.network_of == mine],
        )
        if reason is not None:
            raise Terminal("ShapeUnsafe", f"{self._order.name} was left alone.", fix=reason)

    async def _connect(self, new: str, network: str) -> None:
        missing, _ = unfinished_networks(self.view.old, self.view.new)
        await self._engine.connect(new, network, missing[network])

    async def _stop_old(self, old: str) -> None:
        self._down_since = time.monotonic()
        await self._engine.stop(old, grace_seconds=self._grace(self.view.old))
        self.view.stopped_old()

    async def _rename(self, member: dict[str, Any], name: str) -> None:
        await self._engine.rename(member["Id"], name)
        self.view.renamed(member, name)

    async def _disarm_old(self) -> None:
        self.progress.disarmed = True
        await self._arm(self.view.old, NEVER)

    async def _arm(self, member: dict[str, Any], policy: RestartPolicy) -> None:
        await self._engine.set_restart_policy(member["Id"], policy.as_json())
        self.view.armed(member, policy.as_json())

    async def _start_new(self, new: str, *, again: bool) -> None:
        self.started_here = True
        self.progress.started_again |= again
        try:
            await self._engine.start(new)
        except Problem:
            await self._engine.prove_up()
            self.progress.refused_starts += 1
            raise

    async def _start_old(self, old: str, facts: Facts) -> None:
        await self._engine.start(old)
        self.progress.old_restarted = True
        self._count_down_time(facts)

    async def _resume_old(self) -> None:
        self.progress.resumed = True
        with suppress(Problem):  # one that never drained, or does not know how, takes work anyway
            await self._workspaces.resume(Place.of_inspection(self.view.old))

    async def _remove_orphan(self, orphan: str) -> None:
        await self._engine.remove(orphan)
        self.view.forget()

    async def _remove_old(self, old: str) -> None:
        with suppress(NotFound):
            await self._engine.remove(old)
        self.progress.finished = True
        self.view.removed_old()

    async def _remove_new(self, new: str) -> None:
        """Remove a failed successor.

        What the old one mounts is attached to it by name, which the engine keeps; volumes that its image asked for
        besides belong to nobody any more.
        """
        with suppress(NotFound):
            await self._engine.remove(new, anonymous_volumes=True)
        self.view.removed_new()

    def _grace(self, inspection: Mapping[str, Any]) -> int:
        if self._order.stop_grace_seconds is not None:
            return self._order.stop_grace_seconds
        own = inspection["Config"].get("StopTimeout")
        return _USUAL_STOP_SECONDS if own is None else int(own)

    async def _drain(self, facts: Facts) -> None:
        outcome = await self._draining.go_on(self.view.old)
        if isinstance(outcome, StillBusy):
            self.busy = outcome
            self.progress.failure = Failure(Cause.BUSY, outcome.reason)
        self.progress.drained = outcome == "Drained"
        if facts.old is not None:
            crashed = facts.old.state is ContainerState.RESTARTING
            self.progress.drained_start = None if crashed else facts.old.started_at

    async def _await_proof(self, facts: Facts) -> None:
        outcome = await self._proving.go_on(self.view.new, facts.succeeds)
        self.progress.asked_for_proof = True
        if outcome != "LookAgain":
            self.view.touched()  # the old one was left alone for as long as this took
        if isinstance(outcome, Failure):
            await self.give_up(outcome)
        elif outcome == "Proven":
            self.progress.proven_start = facts.new.started_at if facts.new is not None else None
            self._count_down_time(facts)

    def _count_down_time(self, facts: Facts) -> None:
        if self._down_since is not None:
            self.down_seconds = time.monotonic() - self._down_since
        elif facts.old is not None and facts.old.finished_at is not None and facts.succeeds.was.has_process:
            self.down_seconds = max(0.0, (datetime.now(UTC) - facts.old.finished_at).total_seconds())


def name_taken(name: str, why: str) -> Terminal:
    """Return the refusal of a replacement because somebody else has the name that it needs."""
    return Terminal(
        "NameTaken",
        f"A container that is not part of the replacement has the name {name}; {why}.",
        fix=f"Remove or rename that {name}; the next pass then goes on, forward or back.",
    )
