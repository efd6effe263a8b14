"""A killed process: what was finished is kept, what was open is told to have failed, and nobody waits in vain."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from live_workspace import Launcher, Workspace

Load = Callable[[str], ModuleType]


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook, and what it was sent."""
    seen: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", seen
    server.shutdown()
    server.server_close()


def journals(workspace: Workspace) -> list[Path]:
    return sorted((workspace.folder / "configs").glob("runtime-journal-*"))


def test_a_killed_process_loses_no_finished_task_and_no_webhook(
    launch: Launcher, told: tuple[str, list[dict[str, Any]]]
) -> None:
    url, seen = told
    first = launch()
    done = first.say("the word is swordfish", "kept").json()["result"]["task"]
    webhook = {"id": "w1", "url": url}
    waiting = first.say("sleep 60: never", returnImmediately=True, taskPushNotificationConfig=webhook)
    waiting_id = waiting.json()["result"]["task"]["id"]
    first.until(lambda: first.status()["activeTasks"] == 1)
    first.stop(signal.SIGKILL)
    assert not (first.folder / "configs" / "runtime-snapshot.json").exists()
    assert journals(first)[0].stat().st_mode & 0o077 == 0

    second = launch(folder=first.folder)

    assert second.rpc("GetTask", {"id": done["id"]}).json()["result"] == done
    assert "swordfish" in second.say("recall", "kept").text
    failed = second.rpc("GetTask", {"id": waiting_id}).json()["result"]
    assert failed["status"]["state"] == "TASK_STATE_FAILED"
    assert "send the message again" in failed["status"]["message"]["parts"][0]["text"]
    second.until(lambda: bool(seen) and "task" in seen[-1])
    assert seen[-1]["task"]["id"] == waiting_id
    assert seen[-1]["task"]["status"]["state"] == "TASK_STATE_FAILED"

    second.say("and the number is seven", "kept")
    second.stop(signal.SIGKILL)
    third = launch(folder=first.folder)
    assert third.say("recall", "kept").text.count("swordfish") == 1
    assert "the number is seven" in third.say("recall", "kept").text
    assert third.stop() == 0
    assert journals(third) == [], "a snapshot takes the place of the journals before it"


def test_damaged_lines_of_the_journal_are_left_out_and_counted(launch: Launcher) -> None:
    first = launch()
    done = first.say("hello", "kept").json()["result"]["task"]
    first.stop(signal.SIGKILL)
    (journal,) = journals(first)
    journal.write_bytes(
        b'["task", 7]\n["new kind", {}]\nnonsense\n' + journal.read_bytes() + b'["exchange", {"con'
    )

    second = launch(folder=first.folder)

    assert second.rpc("GetTask", {"id": done["id"]}).json()["result"] == done
    assert "you said before: hello" in second.say("recall", "kept").text
    assert f"Left out 2 damaged lines of {journal}" in second.log
    assert "Leaving out a line 'task' of the journal" in second.log
    assert "Leaving out a line 'new kind' of the journal" in second.log


def test_a_full_disk_costs_no_turn_and_is_told_once(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "runtime-journal-0.jsonl").symlink_to("/dev/full")
    journal = load("journal").Journal(tmp_path)
    for _ in range(3):
        journal.add("exchange", {"text": "lost"})
    assert caplog.text.count("Keeping tasks in memory only") == 1
    assert "No space left on device" in caplog.text


def test_a_line_that_was_cut_off_does_not_spoil_the_next_one(load: Load, tmp_path: Path) -> None:
    journal = load("journal").Journal(tmp_path)
    (tmp_path / "runtime-journal-0.jsonl").write_bytes(b'["task", {"cut')
    journal.add("exchange", {"text": "later"})
    assert list(load("journal").Journal(tmp_path).replay(0)) == [("exchange", {"text": "later"})]


def test_a_journal_that_has_grown_long_asks_for_a_snapshot_once(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("journal"), "MAX_BYTES", 100)
    asked: list[int] = []
    journal = load("journal").Journal(tmp_path, when_long=lambda: asked.append(1))
    for _ in range(5):
        journal.add("exchange", "x" * 30)
    assert asked == [1]


def test_a_snapshot_of_an_earlier_version_is_read_without_a_journal(launch: Launcher) -> None:
    first = launch()
    first.say("hello", "kept")
    assert first.stop() == 0
    configs = first.folder / "configs"
    saved = json.loads((configs / "runtime-snapshot.json").read_text())
    del saved["journal"], saved["webhooks"]
    (configs / "runtime-snapshot.json").write_text(json.dumps(saved))
    stale = json.dumps(["exchange", {"contextId": "kept", "user": "stale", "agent": "stale"}])
    (configs / "runtime-journal-0.jsonl").write_text(stale + "\n")
    second = launch(folder=first.folder)
    assert second.say("recall", "kept").json()["result"]["task"]["artifacts"][0]["parts"] == [
        {"text": "you said before: hello"}
    ]
