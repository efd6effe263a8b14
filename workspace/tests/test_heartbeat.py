"""Heartbeats, received by a stand-in for the platform."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from live_workspace import Launcher, Workspace

Load = Callable[[str], ModuleType]


class Platform:
    """Keeps the heartbeats that it is sent; answers 500 while `broken`, and 401 to another token than `token`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.registered: list[dict[str, Any]] = []
        self.refused = 0
        self.broken = False
        self.token: str | None = None
        self.issues: str | None = None
        platform = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = platform.answer(self.path, body, self.headers.get("Authorization"))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, body: dict[str, Any], shown: str | None) -> tuple[int, object]:
        if path == "/registry/register":
            self.registered.append(body)
            return 200, {"status": "registered", "auth_token": self.issues} if self.issues else {}
        assert path == "/registry/heartbeat"
        if self.token is not None and shown != f"Bearer {self.token}":
            self.refused += 1
            return 401, {"error": "invalid token"}
        self.received.append(body)
        return (500 if self.broken else 200), {}

    def latest(self) -> dict[str, Any]:
        return self.received[-1] if self.received else {}


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()
    yield platform
    platform.server.shutdown()
    platform.server.server_close()


FIRST, SECOND = "first-token-of-all", "second-token-of-all"
CONFIG = "heartbeat: {interval_seconds: 0.1}\n"
BLOCKING = """
import time
from collections.abc import AsyncIterator
from adapters.base import BaseAdapter, Turn

class Blocking(BaseAdapter):
    name = "blocking"
    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        if turn.text == "fail":
            raise RuntimeError("refused: token=abcdefgh12345678")
        time.sleep(1.2)
        yield "done"
"""


def test_heartbeats_tell_what_runs_and_how_it_fares_even_while_the_loop_is_blocked(
    launch: Launcher, platform: Platform
) -> None:
    workspace = launch(config=CONFIG, adapter=BLOCKING, PLATFORM_URL=f"{platform.url}/", WORKSPACE_ID="ws-1")
    workspace.until(lambda: platform.latest().get("runtime_state") == "serving")
    (registration,) = platform.registered
    assert registration["id"] == "ws-1"
    assert registration["url"].endswith(f":{workspace.environ['PORT']}")
    assert registration["agent_card"]["name"] == "workspace"
    status, beat = workspace.status(), platform.latest()
    assert set(beat) == {
        "workspace_id",
        "error_rate",
        "sample_error",
        "active_tasks",
        "current_task",
        "uptime_seconds",
        "runtime_state",
        "runtime_metadata",
        "version",
        "contentSha256",
    }
    assert (beat["workspace_id"], beat["active_tasks"], beat["error_rate"]) == ("ws-1", 0, 0)
    assert (beat["version"], beat["contentSha256"]) == (status["version"], status["contentSha256"])
    assert beat["runtime_metadata"]["adapter"] == status["adapter"]

    workspace.say("fail")
    workspace.until(lambda: platform.latest()["error_rate"] == 1)
    assert platform.latest()["sample_error"] == "RuntimeError: refused: token=[secret]"

    caller = threading.Thread(target=workspace.say, args=("block the loop",))
    caller.start()
    workspace.until(lambda: platform.latest()["active_tasks"] == 1)
    assert platform.latest()["current_task"] == "block the loop"
    count = len(platform.received)
    time.sleep(0.5)
    assert len(platform.received) - count >= 3, "a blocked loop must not silence the heartbeats"
    caller.join()
    workspace.until(lambda: platform.latest()["active_tasks"] == 0)
    assert platform.latest()["error_rate"] == 0.5

    workspace.ctl("drain")
    workspace.until(lambda: platform.latest()["runtime_state"] == "draining")


def test_a_platform_that_fails_costs_neither_turns_nor_a_full_log(
    launch: Launcher, platform: Platform
) -> None:
    platform.broken = True
    workspace = launch(
        config="heartbeat: {interval_seconds: 0.02}\n", PLATFORM_URL=platform.url, WORKSPACE_ID="ws-1"
    )
    workspace.until(lambda: len(platform.received) >= 8)
    assert workspace.say("hi").status_code == 200
    assert 1 <= workspace.log.count("Serving on although heartbeat") <= 1 + len(platform.received) // 10
    platform.broken = False
    workspace.until(lambda: "Reaching the platform again after" in workspace.log)


def token_file(workspace: Workspace) -> Path:
    return workspace.folder / "configs" / ".auth_token"


def test_a_token_that_was_rotated_is_read_again_when_the_old_one_is_refused(
    launch: Launcher, platform: Platform
) -> None:
    platform.issues = platform.token = FIRST
    workspace = launch(config=CONFIG, PLATFORM_URL=platform.url, WORKSPACE_ID="ws-1")
    workspace.until(lambda: len(platform.received) >= 2)
    assert token_file(workspace).read_text() == FIRST
    assert token_file(workspace).stat().st_mode & 0o077 == 0
    assert platform.refused == 0

    platform.issues = None
    token_file(workspace).write_text(f"{SECOND}\n")
    platform.token = SECOND
    count = len(platform.received)
    workspace.until(lambda: len(platform.received) >= count + 3)
    assert platform.refused <= 2, "one refusal is enough to read the file"
    assert len(platform.registered) == 1
    assert SECOND not in workspace.log


def test_a_token_that_is_refused_and_is_still_in_its_file_is_asked_for_anew(
    launch: Launcher, platform: Platform
) -> None:
    folder = launch.root / "w"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / ".auth_token").write_text(FIRST)
    platform.token = SECOND
    workspace = launch(folder=folder, config=CONFIG, PLATFORM_URL=platform.url, WORKSPACE_ID="ws-1")
    workspace.until(lambda: platform.refused >= 2)
    assert workspace.say("hi").status_code == 200
    assert "heartbeat 1 in a row failed: HTTP Error 401" in workspace.log

    platform.issues = SECOND
    workspace.until(lambda: len(platform.received) >= 2)
    assert token_file(workspace).read_text() == SECOND
    workspace.until(lambda: "Reaching the platform again after" in workspace.log)


def test_after_a_failure_the_next_heartbeat_comes_sooner_and_then_ever_later(load: Load) -> None:
    heartbeat = load("heartbeat").Heartbeat(None, None, interval_seconds=30)
    pauses = []
    for heartbeat._failures in range(9):  # noqa: SLF001 - ten minutes of an absent platform
        pauses.append(heartbeat._pause_seconds())  # noqa: SLF001 - as above
    assert pauses == [30, 1, 2, 4, 8, 16, 30, 30, 30]
