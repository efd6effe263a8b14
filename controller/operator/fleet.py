"""Refreshes and wakes all objects of one operator: what its HTTP endpoint asks for, spread over the loops that run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from controller.model.errors import Problem, Transient
from controller.operator.vitals import Vitals
from controller.reconcile.refresh import LoopRefresher, Refreshed

STANDS_BY = "This replica stands by. Call again: the Service leads to the one that works, too."


@dataclass(slots=True)
class Fleet:
    """The loops that run in this process, by the objects that they drive; none while another replica works."""

    vitals: Vitals
    _loops: dict[str, LoopRefresher] = field(default_factory=dict)

    @contextmanager
    def running(self, key: str, loop: LoopRefresher) -> Iterator[None]:
        """Have a loop among them while the block runs."""
        self._loops[key] = loop
        try:
            yield
        finally:
            self._loops.pop(key, None)
            loop.close()

    def wake(self) -> None:
        """Have all of them look anew."""
        for loop in self._loops.values():
            loop.look_anew()

    def away(self) -> str:
        """Return why nothing can be asked of this process; empty when something can."""
        return "" if self.vitals.leading else STANDS_BY

    async def runtimes(self) -> tuple[str, ...]:
        """Return the templates of all objects. Raises Transient while another replica works."""
        if away := self.away():
            raise Transient(away)
        told = await asyncio.gather(*(loop.runtimes() for loop in self._loops.values()))
        return tuple(sorted({name for names in told for name in names}))

    async def refresh(self, templates: tuple[str, ...], *, recreate: bool, force: bool) -> Refreshed:
        """See `Refresher`; all objects at once. One that fails as a whole stands among the errors by its own name."""

        async def one(key: str, loop: LoopRefresher) -> Refreshed:
            try:
                return await loop.refresh(templates, recreate=recreate, force=force)
            except Problem as problem:
                return Refreshed(failed=(key,), errors={key: str(problem)})

        return _together(await asyncio.gather(*(one(*each) for each in self._loops.items())))


def _together(parts: Iterable[Refreshed]) -> Refreshed:
    done = Refreshed()
    for part in parts:
        done = Refreshed(
            pulled=(*done.pulled, *part.pulled),
            failed=(*done.failed, *part.failed),
            recreated=(*done.recreated, *part.recreated),
            busy=(*done.busy, *part.busy),
            skipped=(*done.skipped, *part.skipped),
            errors={**done.errors, **part.errors},
        )
    return done
