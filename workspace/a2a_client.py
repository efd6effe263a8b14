"""Speak A2A to a peer, of whatever version it is, with the SDK's client."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers import get_artifact_text, get_message_text, new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageConfiguration, SendMessageRequest, Task, TaskState
from a2a.utils.errors import A2AError

TIMEOUT_SECONDS = 30.0
POLL_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
ENDS = {
    TaskState.TASK_STATE_COMPLETED: "completed",
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_CANCELED: "canceled",
    TaskState.TASK_STATE_REJECTED: "rejected",
    TaskState.TASK_STATE_INPUT_REQUIRED: "input required",
    TaskState.TASK_STATE_AUTH_REQUIRED: "authorization required",
}


class PeerError(OSError):
    """A peer cannot be reached, or does not take what it is asked."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a task ended, and its answer, or what the peer says of its end."""

    state: str
    text: str


async def send_a2a_message(url: str, text: str) -> str:
    """Send a message to the agent at a URL; return the id of the task that it became.

    Raises:
        PeerError: nobody answers there, or not with a task.
    """
    request = SendMessageRequest(
        message=new_text_message(text, role=Role.ROLE_USER),
        configuration=SendMessageConfiguration(return_immediately=True),
    )
    async with _connected(url) as client:
        async for event in client.send_message(request):
            if event.HasField("task"):
                return event.task.id
    raise PeerError(f"the peer at {url} answered without making a task of the message")


async def await_task(url: str, task_id: str, seconds: float) -> Outcome | None:
    """Ask for a task until it has ended; None when that takes longer than `seconds`.

    Raises:
        PeerError: as for `send_a2a_message`.
    """
    deadline = time.monotonic() + seconds
    pauses = iter(POLL_SECONDS)
    async with _connected(url) as client:
        while True:
            task = await client.get_task(GetTaskRequest(id=task_id))
            if task.status.state in ENDS:
                return Outcome(state=ENDS[task.status.state], text=_answer(task))
            pause = next(pauses, POLL_SECONDS[-1])
            if time.monotonic() + pause > deadline:
                return None
            await asyncio.sleep(pause)


def _answer(task: Task) -> str:
    said = "".join(get_artifact_text(artifact, delimiter="") for artifact in task.artifacts)
    return said or get_message_text(task.status.message)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        try:
            card = await A2ACardResolver(http, url).get_agent_card()
            yield ClientFactory(ClientConfig(streaming=False, polling=True, httpx_client=http)).create(card)
        except (A2AError, httpx.HTTPError) as error:
            raise PeerError(f"the peer at {url} cannot be asked: {type(error).__name__}: {error}") from error
