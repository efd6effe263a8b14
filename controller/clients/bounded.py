"""Bounds how long one source may take to be read: what does not answer must not hold up what does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from controller.model.errors import Transient

T = TypeVar("T")

SOURCE_SECONDS: Final = 30.0
"""How long any one source may take in a pass before it counts as unknown."""


async def bounded(reading: Awaitable[T], *, seconds: float = SOURCE_SECONDS) -> T:
    """Return what `reading` yields, which is cancelled after `seconds`.

    Raises:
        Transient: it took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError as error:
        raise Transient(f"it did not answer within {seconds:g} s") from error
