"""Decide which turn may run now and which must wait, so that a burst of messages cannot exhaust the container."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

# What one workspace remembers; beyond it the least recently used goes first.
MAX_CONVERSATIONS = 1000
MAX_EXCHANGES_PER_CONVERSATION = 50
MAX_FINISHED_TASKS = 500
MAX_WEBHOOKS_PER_TASK = 16
MAX_WAITING_NOTIFICATIONS = 256


@dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """Section `limits`: turns that run at once, and turns that may wait before new ones get 503."""

    max_concurrent: int = 16
    max_waiting: int = 1000


class TurnSlots:
    """Lets turns run in the order of arrival: one at a time in a conversation, `max_concurrent` in all.

    Two turns of one conversation never overlap, since the second would not see the first's answer.
    """

    def __init__(self, limits: TaskLimits) -> None:
        self._slots = asyncio.Semaphore(limits.max_concurrent)
        self._conversations: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, context_id: str) -> AsyncIterator[None]:
        """Wait for this conversation's turn and a free slot, and hold both for the block."""
        lock, users = self._conversations.get(context_id, (asyncio.Lock(), 0))
        self._conversations[context_id] = (lock, users + 1)
        try:
            # The conversation first: a waiting turn must not keep a slot from other conversations.
            async with lock, self._slots:
                yield
        finally:
            lock, users = self._conversations[context_id]
            if users == 1:
                del self._conversations[context_id]
            else:
                self._conversations[context_id] = (lock, users - 1)
