"""Tells people what an object turns to, beside the loop: whoever cannot be reached is tried again, and keeps nothing waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action
from controller.model.errors import Problem, Terminal
from controller.reconcile.result import Pass
from controller.status.notices import Notice, notice_of

BLOCKED_SECONDS: Final = 300.0
"""How long something must be unreadable before anybody is told: most of what does not answer does so again."""
PAUSES_SECONDS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0)
UNDER_WAY: Final = 20
"""Notices of one object under way at most: with more, nobody has been reached for long."""


Send = Callable[[str, str, str], Awaitable[None]]
"""Brings to the address in a Secret, by its name, a title and a text; raises Transient or Terminal when it could not."""


@dataclass(slots=True)
class Notifier:
    """An `Observer` of one loop; `before` is the status that others were told of, `say` takes lines for the log."""

    before: Status
    send: Send
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _told: Notice | None = None
    _began: bool = False
    _blocked_since: float | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def on_pass(self, turn: Pass) -> None:
        """Tell what is new, if it is for somebody."""
        key, version = turn.document.key, turn.document.spec.version
        if not self._began:
            self._began = True
            self._told = notice_of(key, self.before.resolved_version or version, self.before)
        notice = notice_of(key, version, turn.status)
        if notice is None or notice.kind != "Blocked":
            self._blocked_since = None
        elif self._blocked_since is None:
            self._blocked_since = self.clock()
        if notice is None or not notice.says_more_than(self._told):
            return
        if self._blocked_since is not None and self.clock() - self._blocked_since < BLOCKED_SECONDS:
            return
        self._told = notice
        self._tell(turn.document, notice)

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Actions are no news by themselves."""

    async def close(self, *, seconds: float = 0.0) -> None:
        """Give up what is under way, after so many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self, document: WorkspaceRuntime, notice: Notice) -> None:
        for each in document.spec.notifications:
            if notice.kind not in each.on:
                continue
            if len(self._tasks) >= UNDER_WAY:
                self.say(f"{notice.title}: nobody is told, since {UNDER_WAY} notices are under way already")
                return
            task = asyncio.create_task(self._deliver(each.secret_name, notice))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, secret: str, notice: Notice) -> None:
        for pause in (*PAUSES_SECONDS, None):
            try:
                await self.send(secret, notice.title, notice.message)
            except Problem as problem:
                again = None if isinstance(problem, Terminal) else pause
                then = f"; trying again in {again:g} s" if again is not None else ""
                self.say(f"{notice.title}: whoever Secret {secret} leads to was not told: {problem}{then}")
                if again is None:
                    return
                await self.sleep(again)
            else:
                return
