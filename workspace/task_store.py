"""Keep the A2A tasks of this workspace so that they can be bounded, saved and restored."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from a2a.helpers import new_text_message
from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import Task, TaskState
from google.protobuf.json_format import MessageToDict, ParseDict

from policies.limits import MAX_FINISHED_TASKS

FINISHED = frozenset(
    {
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_CANCELED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_REJECTED,
    }
)
WAITING_FOR_CALLER = frozenset({TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED})
SETTLED = FINISHED | WAITING_FOR_CALLER
INTERRUPTED = "The workspace stopped while this task was open; send the message again"


class WorkspaceTaskStore(InMemoryTaskStore):
    """The SDK's store, which forgets the oldest finished tasks and can be saved and restored.

    Callers are not told apart in this version of the runtime: every task belongs to the anonymous user.
    """

    def __init__(
        self,
        record: Callable[[str, object], None] = lambda _kind, _value: None,
        *,
        forgotten: Callable[[str, ServerCallContext], Awaitable[None]] | None = None,
    ) -> None:
        """`record` writes down what must survive a kill of this process; `forgotten` is told of a task that goes."""
        super().__init__()
        self._record = record
        self._forgotten = forgotten
        self._known: OrderedDict[str, Task] = OrderedDict()
        self._awaited: dict[str, asyncio.Event] = {}

    async def save(self, task: Task, context: ServerCallContext) -> None:
        """Store a task; the oldest finished one is forgotten when there are too many."""
        if task.id not in self._known or task.status.state in SETTLED:
            # Between its begin and its end a task is as open for the next process as it was at its begin.
            self._record("task", MessageToDict(task))
        await self._keep(task, context)

    async def _keep(self, task: Task, context: ServerCallContext) -> None:
        await super().save(task, context)
        copy = Task()
        copy.CopyFrom(task)
        self._known[task.id] = copy
        self._known.move_to_end(task.id)
        if task.status.state in FINISHED and (awaited := self._awaited.get(task.id)) is not None:
            awaited.set()
        if len(self._known) > MAX_FINISHED_TASKS:
            await self._forget_one(context)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        """Forget one task."""
        await super().delete(task_id, context)
        self._known.pop(task_id, None)
        if self._forgotten is not None:
            await self._forgotten(task_id, context)

    async def until_finished(self, task_id: str, timeout_seconds: float) -> bool:
        """Wait until the task's final state is stored; False when `timeout_seconds` pass first.

        The SDK stores events after the executor has published them. Whoever ends the process in between would
        save a finished task as an open one.
        """
        known = self._known.get(task_id)
        if known is not None and known.status.state in FINISHED:
            return True
        awaited = self._awaited.setdefault(task_id, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_seconds):
                return await awaited.wait()
        except TimeoutError:
            return False
        finally:
            del self._awaited[task_id]

    async def _forget_one(self, context: ServerCallContext) -> None:
        for task_id, task in self._known.items():
            if task.status.state in FINISHED:
                await self.delete(task_id, context)
                return

    def export(self) -> list[dict[str, Any]]:
        """Return all tasks as JSON values, least recently changed first."""
        return [MessageToDict(task) for task in list(self._known.values())]

    async def restore(self, saved: list[dict[str, Any]]) -> list[str]:
        """Take over what `export` returned and return the ids of tasks that the end of the process cut short.

        Those become failed, with a text for their caller. A task that waits for its caller still waits.

        Raises:
            google.protobuf.json_format.ParseError: a task has another form.
        """
        tasks = [ParseDict(item, Task(), ignore_unknown_fields=True) for item in saved]
        interrupted = []
        for task in tasks:
            if task.status.state not in SETTLED:
                interrupted.append(task.id)
                task.status.state = TaskState.TASK_STATE_FAILED
                task.status.timestamp.FromDatetime(datetime.now(UTC))
                task.status.message.CopyFrom(
                    new_text_message(INTERRUPTED, context_id=task.context_id, task_id=task.id)
                )
            await self._keep(task, ServerCallContext())
        return interrupted
