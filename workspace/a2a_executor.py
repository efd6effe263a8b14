"""Turn A2A messages into turns of the adapter, and its chunks into A2A events."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from a2a.helpers import new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Message, Task, TaskState, TaskStatus

from a2a_reply import Reply
from adapters.base import AdapterConfigurationError, BaseAdapter, Exchange, Turn
from admission import ADMITTED
from builtin_tools.security import Scrubber
from conversations import Conversations
from plugins_registry.registry import Plugins
from policies.limits import TurnSlots
from task_ledger import TaskLedger, Ticket
from task_store import INTERRUPTED, WorkspaceTaskStore

logger = logging.getLogger(__name__)

STREAMING_METHODS = frozenset({"SendStreamingMessage", "message/stream"})
FAILURE_KEY = "molecule.failure"
TITLE_CHARACTERS = 100
LOOKED_THROUGH_CHARACTERS = 10_000
CANCEL_SECONDS = 10.0
STORE_SECONDS = 5.0


Stop = Literal["canceled", "interrupted"]


@dataclass(kw_only=True)
class _Running:
    """A turn in progress: its work, why it was told to stop, and whether its last event is out."""

    work: asyncio.Task[None]
    stop: Stop | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What turns share: who counts them, keeps them, orders them, remembers them, looks at them, and hides secrets."""

    ledger: TaskLedger
    tasks: WorkspaceTaskStore
    slots: TurnSlots
    conversations: Conversations
    plugins: Plugins
    scrubber: Scrubber


class TurnExecutor(AgentExecutor):
    """Runs each message as one turn, within the limits, and counts it truly."""

    def __init__(self, adapter: BaseAdapter, around: Surroundings) -> None:
        self._adapter = adapter
        self._ledger = around.ledger
        self._tasks = around.tasks
        self._slots = around.slots
        self._conversations = around.conversations
        self._plugins = around.plugins
        self._scrubber = around.scrubber
        self._running: dict[str, _Running] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message; the last event is the task's final state."""
        ticket = ADMITTED.get()
        if ticket is None or not ticket.claim():
            ticket = self._ledger.open()
            ticket.claim()
        failure: str | None = None
        counts = False
        try:
            failure, counts = await self._answer(context, event_queue, ticket)
        finally:
            ticket.close(failure=failure, counts=counts)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Stop the turn of a task and wait until it has said that it is canceled.

        The turn itself says so, not this method: the SDK closes the task's queue once `execute` returns. A
        task without a turn is marked canceled by the SDK.
        """
        del event_queue
        if context.task_id is not None:
            await self._stop_turn(context.task_id, "canceled")

    async def stop_all(self) -> None:
        """Stop every turn, because the process ends; their tasks fail with a text that says so."""
        await asyncio.gather(*(self._stop_turn(task_id, "interrupted") for task_id in list(self._running)))

    async def _answer(
        self, context: RequestContext, event_queue: EventQueue, ticket: Ticket
    ) -> tuple[str | None, bool]:
        """Run the turn and publish its end; return its error, and whether it counts as a turn at all."""
        message, task_id, context_id = context.message, context.task_id, context.context_id
        if message is None or task_id is None or context_id is None:
            raise ValueError("the SDK handed over a request without message, task or context")
        ticket.task_id, ticket.context_id = task_id, context_id
        updater = _Updater(event_queue, task_id, context_id)
        if context.current_task is None:
            await event_queue.enqueue_event(_submitted(message, task_id, context_id))
        text = context.get_user_input()
        if not text.strip():
            await updater.reject(_note(updater, "This agent reads text, and the message has none"))
            return None, False
        # Of megabytes only the beginning: looking through them for secrets would silence the workspace for seconds.
        beginning = " ".join(text[:LOOKED_THROUGH_CHARACTERS].split())
        ticket.title = self._scrubber.scrub(beginning)[:TITLE_CHARACTERS]
        streaming = context.call_context.state.get("method") in STREAMING_METHODS
        reply = Reply(updater, streaming=streaming)
        running = _Running(work=asyncio.create_task(self._turn(text, ticket, reply), name=f"turn:{task_id}"))
        self._running[task_id] = running
        try:
            outcome = await self._finish(running, reply, updater)
            if not await self._tasks.until_finished(task_id, STORE_SECONDS):
                logger.error("Going on although the final state of task %s was not stored", task_id)
            return outcome
        finally:
            reply.stop()
            running.work.cancel()
            running.ended.set()
            del self._running[task_id]

    async def _finish(self, running: _Running, reply: Reply, updater: TaskUpdater) -> tuple[str | None, bool]:
        try:
            await running.work
        except asyncio.CancelledError:
            if running.stop is None:
                raise
            if running.stop == "canceled":
                await updater.cancel()
            else:
                await updater.failed(_note(updater, INTERRUPTED))
            return None, False
        except Exception as error:
            logger.exception("Ending task %s as failed", updater.task_id)
            await reply.flush()
            text = self._scrubber.scrub(f"{type(error).__name__}: {error}")
            await updater.failed(_note(updater, text, failure=_kind_of(error)))
            return text, True
        await reply.finish()
        await updater.complete()
        return None, True

    async def _turn(self, text: str, ticket: Ticket, reply: Reply) -> None:
        async with self._slots.turn(ticket.context_id):
            ticket.start()
            await reply.start()
            history = self._conversations.history(ticket.context_id)
            turn = await self._plugins.before_turn(
                Turn(task_id=ticket.task_id, context_id=ticket.context_id, text=text, history=history)
            )
            chunks = self._adapter.execute(turn)
            async with aclosing(chunks) if isinstance(chunks, AsyncGenerator) else nullcontext():
                async for chunk in chunks:
                    await reply.add(chunk)
            self._conversations.add(ticket.context_id, Exchange(user=turn.text, agent=reply.text))
            await self._plugins.after_turn(turn, reply.text)

    async def _stop_turn(self, task_id: str, stop: Stop) -> None:
        running = self._running.get(task_id)
        if running is None:
            return
        running.stop = stop
        running.work.cancel()
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await running.ended.wait()
        except TimeoutError:
            logger.warning("Leaving task %s behind: its turn does not stop", task_id)
        await self._adapter.cancel(task_id)


class _Updater(TaskUpdater):
    """Dates states to the millisecond, as A2A writes them."""

    async def update_status(
        self,
        state: TaskState,
        message: Message | None = None,
        timestamp: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        await super().update_status(state, message, timestamp or _now().isoformat(), metadata)


def _submitted(message: Message, task_id: str, context_id: str) -> Task:
    status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
    status.timestamp.FromDatetime(_now())
    return Task(id=task_id, context_id=context_id, status=status, history=[message])


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _note(updater: TaskUpdater, text: str, *, failure: str | None = None) -> Message:
    """Say something about a task; `failure` tells programs whose fault it was."""
    return updater.new_agent_message(
        [new_text_part(text)], metadata={FAILURE_KEY: failure} if failure else None
    )


def _kind_of(error: Exception) -> str:
    """Tell a workspace that is configured wrongly from an image that is built wrongly and from a failed task."""
    if isinstance(error, AdapterConfigurationError):
        return "configuration"
    return "build" if isinstance(error, ImportError | SyntaxError) else "task"
