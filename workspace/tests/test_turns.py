"""Turns with the official client, over A2A 1.0 and 0.3, streaming and not."""

import asyncio
import json

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.helpers import get_artifact_text, new_text_message
from a2a.types import CancelTaskRequest, GetTaskRequest, Role, SendMessageRequest, StreamResponse, TaskState
from live_workspace import Launcher, Workspace


async def connect(url: str, http: httpx.AsyncClient, *, version: str, streaming: bool) -> Client:
    """Make a client as users do, from the card, but only for one protocol version."""
    card = await A2ACardResolver(http, url).get_agent_card()
    wanted = [interface for interface in card.supported_interfaces if interface.protocol_version == version]
    del card.supported_interfaces[:]
    card.supported_interfaces.extend(wanted)
    return ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


def ask(text: str, context: str | None = None, task: str | None = None) -> SendMessageRequest:
    return SendMessageRequest(
        message=new_text_message(text, context_id=context, task_id=task, role=Role.ROLE_USER)
    )


def text_of(events: list[StreamResponse]) -> str:
    """Put the answer together as a client would, from a stream or from one task."""
    parts = []
    for event in events:
        artifacts = (
            [event.artifact_update.artifact] if event.HasField("artifact_update") else event.task.artifacts
        )
        parts += [get_artifact_text(artifact) for artifact in artifacts]
    return "".join(parts)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_the_second_turn_of_a_conversation_remembers_the_first(
    served: Workspace, version: str, streaming: bool
) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        client = await connect(served.url, http, version=version, streaming=streaming)
        context = f"memory-{version}-{streaming}"

        first = [event async for event in client.send_message(ask("good morning to you", context))]
        second = [event async for event in client.send_message(ask("recall", context))]

    assert text_of(first) == "echo: good morning to you"
    assert text_of(second) == "you said before: good morning to you"


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_stream_delivers_words_as_they_come_and_ends_completed(
    served: Workspace, version: str
) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        client = await connect(served.url, http, version=version, streaming=True)
        events = [event async for event in client.send_message(ask("one two"))]

    chunks = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert [get_artifact_text(chunk.artifact) for chunk in chunks] == ["echo: ", "one ", "two"]
    assert [chunk.append for chunk in chunks] == [False, True, True]
    states = [event.status_update.status.state for event in events if event.HasField("status_update")]
    assert states == [TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED]


async def test_conversations_do_not_hear_each_other(served: Workspace) -> None:
    assert "completed" in served.say("my secret plan", "left").text.lower()
    answer = served.say("recall", "right").json()["result"]["task"]
    assert answer["artifacts"][0]["parts"][0]["text"] == "nothing was said before in this conversation"


async def test_a_message_without_text_is_rejected_with_the_reason(served: Workspace) -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": {"a": 1}}]}
    task = served.rpc("SendMessage", {"message": message}).json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_REJECTED"
    assert "reads text" in task["status"]["message"]["parts"][0]["text"]


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_cancelling_stops_the_turn_and_frees_the_count(served: Workspace, version: str) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        client = await connect(served.url, http, version=version, streaming=True)
        stream = client.send_message(ask("sleep 60: never said"))
        first = await anext(stream)
        task_id = first.task.id
        async for event in stream:
            if event.status_update.status.state == TaskState.TASK_STATE_WORKING:
                break
        assert served.status()["activeTasks"] == 1

        canceled = await client.cancel_task(CancelTaskRequest(id=task_id))

        assert canceled.status.state == TaskState.TASK_STATE_CANCELED
        await asyncio.to_thread(served.until, lambda: served.status()["activeTasks"] == 0)
        task = await client.get_task(GetTaskRequest(id=task_id))
        assert task.status.state == TaskState.TASK_STATE_CANCELED
        assert not task.artifacts


async def test_a_task_in_the_background_counts_until_its_end(served: Workspace) -> None:
    task = served.say("sleep 0.6: later", returnImmediately=True).json()["result"]["task"]
    assert task["status"]["state"] != "TASK_STATE_COMPLETED"
    served.until(lambda: served.status()["activeTasks"] == 1)
    served.until(lambda: served.status()["activeTasks"] == 0)
    done = served.rpc("GetTask", {"id": task["id"]}).json()["result"]
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_stream_whose_caller_hangs_up_still_counts_and_finishes(served: Workspace) -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "sleep 0.8: unheard"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}
    async with (
        httpx.AsyncClient(timeout=20) as http,
        http.stream("POST", served.url, json=body, headers={"A2A-Version": "1.0"}) as response,
    ):
        first = json.loads((await anext(response.aiter_lines())).removeprefix("data: "))
    task_id = first["result"]["task"]["id"]
    assert served.status()["activeTasks"] == 1
    served.until(lambda: served.status()["activeTasks"] == 0)
    done = served.rpc("GetTask", {"id": task_id}).json()["result"]
    assert done["artifacts"][0]["parts"][0]["text"] == "echo: "


LIMITED = "limits: {max_concurrent_tasks: 2, max_waiting_tasks: 1}\n"


async def test_turns_beyond_the_limits_wait_and_then_are_refused(launch: Launcher) -> None:
    workspace = launch(config=LIMITED)
    for index in range(3):
        assert workspace.say("sleep 30: x", f"c{index}", returnImmediately=True).status_code == 200
    workspace.until(lambda: workspace.status()["activeTasks"] == 2)
    assert workspace.status()["queuedTasks"] == 1

    refused = workspace.say("one too many")

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["data"][0]["reason"] == "OVERLOADED"
    assert 0 < workspace.status()["oldestTaskSeconds"] < 20


FAILING = """
from collections.abc import AsyncIterator
from adapters.base import AdapterConfigurationError, BaseAdapter, Turn

class Failing(BaseAdapter):
    name = "failing"
    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        if turn.text == "lazy":
            import module_that_nobody_installed
        if turn.text == "key":
            raise AdapterConfigurationError("MODEL_KEY sk-abcdefghijklmnopqrstu is refused; set another one")
        if turn.text == "oops":
            raise RuntimeError("no luck")
        yield "fine"
"""


async def test_a_failed_turn_says_whose_fault_it_was_and_the_next_one_works(launch: Launcher) -> None:
    workspace = launch(adapter=FAILING)
    expected = {
        "lazy": ("build", "ModuleNotFoundError: No module named 'module_that_nobody_installed'"),
        "key": ("configuration", "AdapterConfigurationError: MODEL_KEY [secret] is refused; set another one"),
        "oops": ("task", "RuntimeError: no luck"),
    }
    for text, (kind, says) in expected.items():
        status = workspace.say(text, "same").json()["result"]["task"]["status"]
        assert status["state"] == "TASK_STATE_FAILED"
        assert status["message"]["metadata"] == {"molecule.failure": kind}
        assert status["message"]["parts"][0]["text"] == says
    assert workspace.say("hi", "same").json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert workspace.status()["activeTasks"] == 0
    assert "sk-abcdefghijklmnopqrstu" not in workspace.log
