"""Callers who send much, read slowly or go away: nobody else notices."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from live_workspace import HTTP, Launcher, Workspace

MEGABYTE = 1_000_000
MANY_WORDS = 5_000


PAUSING = """
import asyncio
from collections.abc import AsyncIterator
from adapters.base import BaseAdapter, Turn

class Pausing(BaseAdapter):
    name = "pausing"
    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number} "
        if turn.text == "fail":
            raise RuntimeError("no more")
        await asyncio.sleep(20)
"""


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace that takes what is large."""
    with Launcher(tmp_path_factory.mktemp("roomy")) as launch:
        yield launch()


@pytest.fixture(scope="module")
def pausing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with Launcher(tmp_path_factory.mktemp("pausing")) as launch:
        yield launch(adapter=PAUSING)


def stream_request(text: str) -> dict[str, object]:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": message}}


def streamed_text(workspace: Workspace, text: str) -> str:
    body = stream_request(text)
    response = HTTP.post(workspace.url, json=body, headers={"A2A-Version": "1.0"})
    events = [
        json.loads(line[5:])["result"] for line in response.text.splitlines() if line.startswith("data:")
    ]
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    artifacts = [event["artifactUpdate"]["artifact"] for event in events if "artifactUpdate" in event]
    return "".join(part["text"] for artifact in artifacts for part in artifact["parts"])


def listed(workspace: Workspace) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = workspace.rpc("ListTasks", {}).json()["result"]["tasks"]
    return tasks


def test_a_message_of_ten_megabytes_is_answered_while_others_are_too(roomy: Workspace) -> None:
    workspace = roomy
    text = "x" * 10 * MEGABYTE
    with ThreadPoolExecutor() as pool:
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}
        large = pool.submit(workspace.rpc, "SendMessage", {"message": message})
        assert "echo: hi" in workspace.say("hi", "another").text
        task = large.result().json()["result"]["task"]
    assert task["artifacts"][0]["parts"][0]["text"] == f"echo: {text}"


def test_a_long_answer_reaches_who_streams_it_whole_and_in_order(roomy: Workspace) -> None:
    text = " ".join(map(str, range(MANY_WORDS)))
    assert streamed_text(roomy, text) == f"echo: {text}"


def test_what_was_said_before_a_pause_does_not_wait_for_its_end(pausing: Workspace) -> None:
    workspace = pausing
    said = ""
    headers = {"A2A-Version": "1.0"}
    with HTTP.stream("POST", workspace.url, json=stream_request("go on"), headers=headers) as response:
        for line in response.iter_lines():
            if "artifactUpdate" in line:
                said += json.loads(line[5:])["result"]["artifactUpdate"]["artifact"]["parts"][0]["text"]
            if said.endswith(" 99 "):
                break
    assert said == "".join(f"{number} " for number in range(100))
    assert workspace.status()["activeTasks"] >= 1, "who hangs up ends no task"


def test_a_turn_that_fails_has_sent_all_that_it_said(pausing: Workspace) -> None:
    response = HTTP.post(pausing.url, json=stream_request("fail"), headers={"A2A-Version": "1.0"})
    assert "99 " in response.text
    assert response.text.rindex("99 ") < response.text.index("TASK_STATE_FAILED")


def test_who_does_not_read_the_stream_keeps_neither_the_task_nor_others_waiting(roomy: Workspace) -> None:
    before = len(listed(roomy))
    text = " ".join("word" * 50 for _ in range(MANY_WORDS))
    body = json.dumps(stream_request(text)).encode()
    head = f"POST / HTTP/1.1\r\nHost: a\r\nA2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", int(roomy.environ["PORT"]))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(head + body)
        roomy.until(lambda: len(listed(roomy)) == before + 1)
        assert "echo: hi" in roomy.say("hi", "another").text
        roomy.until(lambda: roomy.status()["activeTasks"] == 0)
        states = {task["status"]["state"] for task in listed(roomy)}
    assert states == {"TASK_STATE_COMPLETED"}
