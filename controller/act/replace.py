"""Replaces one container by its successor, or brings it back: looks, asks the plan for one step, does it, looks again.

Nothing is remembered between steps but what the engine cannot show (`Progress`), so killing this program at any
point loses nothing: the next call for the same name finds the same containers and goes on, forward or back.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from controller.act._deeds import Deeds, name_taken
from controller.clients.docker import Conflict, DockerEngine
from controller.clients.workspace import Workspaces
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.replacement import (
    Boundary,
    Cause,
    Replaced,
    ReplaceOrder,
    ReplaceResult,
    RolledBack,
    StepObserver,
)
from controller.plan.replacement import End, Failure, Progress, Step, interim_names, next_step
from controller.plan.replacement_facts import Facts, Member
from controller.plan.setback import failure_seen

_ATTEMPTS: Final = 3
_RETRY_SECONDS: Final = 0.1
_REFUSED_SECONDS: Final = 1.0
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
        self._deeds = Deeds(engine, order, workspaces)
        self._view = self._deeds.view
        self._on_step = on_step
        self._begun_with: str | None = None
        self._successor: str | None = None

    async def run(self) -> ReplaceResult:
        """Take steps until there is none left."""
        last: Step | None = None
        failures = 0
        while True:
            facts = await self._view.look()
            await self._judge(facts)
            step = next_step(facts, self._order.image, self._deeds.progress)
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
                await self._deeds.of(facts)[step]()
            except Problem as problem:
                failures += 1
                await self._recover(step, problem, failures)

    async def _judge(self, facts: Facts) -> None:
        """Remember who is who, and notice when there is no way forward."""
        if self._begun_with is None and facts.old is not None:
            self._begun_with = facts.old.id
        if facts.new is not None:
            self._successor = facts.new.id
        if self._deeds.progress.failure is None:
            failure = failure_seen(
                facts,
                self._order.image,
                self._deeds.progress,
                now=datetime.now(UTC),
                deadline_seconds=self._order.start_deadline_seconds,
            )
            if failure is not None:
                await self._deeds.give_up(failure)

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
            raise name_taken(taken, "it is the interim name of a successor") from problem
        if step in _NO_WAY_BACK or step.undoes:
            raise problem
        await self._deeds.give_up(Failure(Cause.HOST, f"Step {step} failed: {problem}."))

    def _end(self, end: End, facts: Facts) -> ReplaceResult | None:
        """Return the result, or None when an undone successor makes room for the wanted one."""
        if end is End.NAME_TAKEN:
            raise name_taken(self._order.name, f"{' and '.join(interim_names(self._order.name))} wait for it")
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
        return Replaced(begun_with, facts.old.id, changed=changed, seconds_down=self._deeds.down_seconds)

    def _undone(self, old: Member) -> ReplaceResult | None:
        deeds, failure = self._deeds, self._deeds.progress.failure
        if failure is None or deeds.busy is not None:
            return deeds.busy
        if failure.cause is Cause.SUPERSEDED and self._order.image is not None and not deeds.created_here:
            deeds.progress, deeds.log_tail, self._successor = Progress(), (), None
            return None
        return RolledBack(
            old.id, failure.cause, failure.message, deeds.started_here, deeds.log_tail, deeds.down_seconds
        )
