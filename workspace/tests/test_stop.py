"""SIGTERM: what runs is finished, what was said is kept, and the end comes in time."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from live_workspace import Launcher, Workspace

Read = Callable[[Workspace], dict[str, Any]]


def busy(workspace: Workspace, text: str, context: str = "busy") -> str:
    """Start a task in the background and return its id once it runs."""
    before = workspace.status()["activeTasks"]
    task: str = workspace.say(text, context, returnImmediately=True).json()["result"]["task"]["id"]
    workspace.until(lambda: workspace.status()["activeTasks"] > before)
    return task


def stream(workspace: Workspace, text: str) -> str:
    """Return everything that a streaming caller receives."""
    message = {"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]}
    return workspace.rpc("SendStreamingMessage", {"message": message}).text


def test_an_idle_workspace_stops_at_once_despite_open_connections(launch: Launcher) -> None:
    workspace = launch()
    with httpx.Client() as client:
        client.get(f"{workspace.url}/runtime")
        begun = time.monotonic()
        assert workspace.stop() == 0
    assert time.monotonic() - begun < 3, "a connection that says nothing is kept for 5 s"


def test_a_running_task_is_finished_and_answered_before_the_end(
    launch: Launcher, read_snapshot: Read
) -> None:
    workspace = launch()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(workspace.say, "sleep 1.5: kept my word", "busy")
        streamed = pool.submit(stream, workspace, "sleep 1.5: streamed")
        workspace.until(lambda: workspace.status()["activeTasks"] == 2)
        workspace.process.send_signal(signal.SIGTERM)
        workspace.until(lambda: workspace.status()["state"] == "draining")
        assert workspace.say("too late").status_code == 503
        workspace.process.send_signal(signal.SIGTERM)

        task = running.result().json()["result"]["task"]
        assert "streamed" in streamed.result()
        assert "TASK_STATE_COMPLETED" in streamed.result()
    assert task["artifacts"][0]["parts"][0]["text"] == "echo: kept my word"
    assert workspace.process.wait(20) == 0
    assert "Ignoring another SIGTERM" in workspace.log
    saved = read_snapshot(workspace)
    assert saved["openTasks"] == []
    assert saved["conversations"]["busy"] == [
        {"user": "sleep 1.5: kept my word", "agent": "echo: kept my word"}
    ]


def test_a_background_task_that_ends_in_the_grace_period_is_kept_as_completed(
    launch: Launcher, read_snapshot: Read
) -> None:
    workspace = launch()
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "sleep 0.7: unheard"}]}
    params = {"message": message, "configuration": {"returnImmediately": True}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
    headers = {"A2A-Version": "1.0", "Connection": "close"}
    # No connection stays open: closing one would give the event loop the time that this test denies it.
    task = httpx.post(workspace.url, json=body, headers=headers).json()["result"]["task"]["id"]
    assert workspace.stop() == 0
    saved = {item["id"]: item for item in read_snapshot(workspace)["tasks"]}
    assert saved[task]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert saved[task]["artifacts"][0]["parts"][0]["text"] == "echo: unheard"


def test_the_next_process_remembers_conversations_and_tasks(launch: Launcher) -> None:
    first = launch()
    task = first.say("the word is swordfish", "kept").json()["result"]["task"]
    assert first.stop() == 0

    second = launch(folder=first.folder)
    answer = second.say("recall", "kept").json()["result"]["task"]
    assert answer["artifacts"][0]["parts"][0]["text"] == "you said before: the word is swordfish"
    assert second.rpc("GetTask", {"id": task["id"]}).json()["result"] == task


def test_a_task_beyond_the_grace_period_fails_with_a_text_and_the_exit_is_clean(launch: Launcher) -> None:
    workspace = launch(WORKSPACE_GRACE_SECONDS="2")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(workspace.say, "sleep 60: never")
        workspace.until(lambda: workspace.status()["activeTasks"] == 1)
        begun = time.monotonic()
        assert workspace.stop() == 0
        assert 0.9 < time.monotonic() - begun < 15
        task = running.result().json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "send the message again" in task["status"]["message"]["parts"][0]["text"]


def test_a_kill_during_the_grace_period_still_leaves_a_snapshot(
    launch: Launcher, read_snapshot: Read
) -> None:
    first = launch()
    first.say("before the end", "kept")
    task = busy(first, "sleep 60: never")
    first.process.send_signal(signal.SIGTERM)
    first.until((first.folder / "configs" / "runtime-snapshot.json").exists)
    first.stop(signal.SIGKILL)
    assert [item["taskId"] for item in read_snapshot(first)["openTasks"]] == [task]

    second = launch(folder=first.folder)
    failed = second.rpc("GetTask", {"id": task}).json()["result"]
    assert failed["status"]["state"] == "TASK_STATE_FAILED"
    assert "send the message again" in failed["status"]["message"]["parts"][0]["text"]
    assert task in second.log
    assert "before the end" in second.say("recall", "kept").text


BLOCKING = """
import time
from collections.abc import AsyncIterator
from adapters.base import BaseAdapter, Turn

class Blocking(BaseAdapter):
    name = "blocking"
    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        yield "now "
        if turn.text == "block":
            time.sleep(60)
"""


def test_a_blocked_event_loop_is_reported_wedged_and_still_stops_in_time(
    launch: Launcher, read_snapshot: Read
) -> None:
    workspace = launch(adapter=BLOCKING, WORKSPACE_GRACE_SECONDS="2", WORKSPACE_WEDGED_AFTER_SECONDS="4")
    workspace.say("hello", "kept")
    pool = ThreadPoolExecutor()
    call = pool.submit(workspace.say, "block", "stuck")
    workspace.until(lambda: '"activeTasks":1' in workspace.ctl("status").stdout)
    assert '"state":"serving"' in workspace.ctl("status").stdout
    workspace.until(lambda: '"state":"wedged"' in workspace.ctl("status").stdout)
    assert '"activeTasks":1' in workspace.ctl("status").stdout

    begun = time.monotonic()
    assert workspace.stop() == 0
    assert time.monotonic() - begun < 15
    assert isinstance(call.exception(), httpx.TransportError)
    assert read_snapshot(workspace)["conversations"]["kept"] == [{"user": "hello", "agent": "now "}]


def test_a_damaged_snapshot_is_kept_aside_and_named(launch: Launcher) -> None:
    folder = launch.root / "damaged"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "runtime-snapshot.json").write_text('{"format": 1, "conversations": {"a": [{"us')
    workspace = launch(folder=folder)
    assert "Starting without the saved state" in workspace.log
    kept = list((folder / "configs").glob("runtime-snapshot.json.unusable-*"))
    assert [path.read_text() for path in kept] == ['{"format": 1, "conversations": {"a": [{"us']
    assert workspace.say("hi").status_code == 200
