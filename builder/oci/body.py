"""What a request sends: a part of bytes or of a file, read piece by piece and as often as it must be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

PIECE_BYTES: Final = 64 << 10
"""A piece that has gone out counts as progress: 1 kB/s is the slowest connection that does not count as dead."""


@dataclass(frozen=True, slots=True)
class Body:
    """`length` bytes of `data` from `start`."""

    data: bytes | Path = field(repr=False)
    length: int
    start: int = 0

    @classmethod
    def of(cls, data: bytes | Path) -> Self:
        """Return all of some bytes, or of a file as long as it is now."""
        return cls(data, len(data) if isinstance(data, bytes) else data.stat().st_size)

    def part(self, start: int, length: int) -> Body:
        """Return at most `length` bytes from `start`."""
        return Body(self.data, min(length, self.length - start), self.start + start)

    async def pieces(self, moved: Callable[[], None]) -> AsyncIterator[bytes]:
        """Yield the bytes; `moved` is called whenever the one before has gone out."""
        if isinstance(self.data, bytes):
            for position in range(self.start, self.start + self.length, PIECE_BYTES):
                moved()
                yield self.data[position : min(position + PIECE_BYTES, self.start + self.length)]
            return
        with await asyncio.to_thread(self.data.open, "rb") as file:
            file.seek(self.start)
            left = self.length
            while left and (piece := await asyncio.to_thread(file.read, min(PIECE_BYTES, left))):
                moved()
                left -= len(piece)
                yield piece
