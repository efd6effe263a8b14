"""Reads sources side by side: each for a bounded time, each with its own memory of since when it is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from controller.clients.bounded import SOURCE_SECONDS, bounded
from controller.model.errors import Problem
from controller.model.observed import Known, Observed, Unknown

T = TypeVar("T")


@dataclass(slots=True)
class Readings:
    """What is remembered from pass to pass of the sources that could not be read, by name; `seconds` bounds each."""

    seconds: float = SOURCE_SECONDS
    _unknown_since: dict[str, datetime] = field(default_factory=dict)

    async def value(self, source: str, reading: Awaitable[T], now: datetime) -> Observed[T]:
        """Return what `reading` yields, or since when and why it is unknown; `now` is aware UTC."""
        try:
            return self._noted(source, Known(await bounded(reading, seconds=self.seconds)))
        except Problem as problem:
            return self._noted(source, Unknown.of(problem, now))

    async def observed(self, source: str, reading: Awaitable[Observed[T]], now: datetime) -> Observed[T]:
        """Return the same of a reading that says itself what is unknown."""
        try:
            return self._noted(source, await bounded(reading, seconds=self.seconds))
        except Problem as problem:
            return self._noted(source, Unknown.of(problem, now))

    async def each(
        self, source: str, readings: Mapping[str, Awaitable[Observed[T]]], now: datetime
    ) -> Mapping[str, Observed[T]]:
        """Return what several readings yield, by name, all at once: one that does not answer leaves the others known."""
        found = await asyncio.gather(
            *(self.observed(f"{source} {name}", reading, now) for name, reading in readings.items())
        )
        return dict(zip(readings, found, strict=True))

    def _noted(self, source: str, seen: Observed[T]) -> Observed[T]:
        if isinstance(seen, Unknown):
            return replace(seen, since=self._unknown_since.setdefault(source, seen.since))
        self._unknown_since.pop(source, None)
        return seen
