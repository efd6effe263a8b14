"""Makes changes of one record together that come while another one is being written: each write is some twenty requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controller.model.record import ReleaseRecord

Change = Callable[[ReleaseRecord], ReleaseRecord]


@dataclass(slots=True, eq=False)
class _Amendment:
    version: str
    change: Change
    written: bool = False
    refusal: Exception | None = None
    """What the change itself raised: it is left out, and the others are made."""


class Amendments:
    """The changes of one store that wait for their turn."""

    def __init__(self, turn: asyncio.Lock, write: Callable[[str, Change], Awaitable[None]]) -> None:
        """`write` changes a version's record while `turn` is held, and raises when nobody knows whether it did."""
        self._turn = turn
        self._write = write
        self._waiting: list[_Amendment] = []

    async def make(self, version: str, change: Change) -> None:
        """Return when `change` is written, with all that waited for the same record, in the order they came.

        Raises whatever `change` raises, and what `write` does: who waited tries again for itself then.
        """
        mine = _Amendment(version, change)
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.written:
                    await self._write_all([one for one in self._waiting if one.version == version])
        finally:
            self._waiting.remove(mine)
        if mine.refusal is not None:
            raise mine.refusal

    async def _write_all(self, amendments: list[_Amendment]) -> None:
        due = [one for one in amendments if not one.written]

        def change(record: ReleaseRecord) -> ReleaseRecord:
            for one in due:
                one.refusal = None  # of an attempt before this, which was not written
                try:
                    record = one.change(record)
                except Exception as error:  # noqa: BLE001 -- told to whoever asked for this change, and to nobody else
                    one.refusal = error
            return record

        await self._write(due[0].version, change)
        for one in due:
            one.written = True
