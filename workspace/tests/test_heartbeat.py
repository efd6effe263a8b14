"""Heartbeats, received by a stand-in for the platform."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from live_workspace import Launcher


class Platform:
    """Keeps what it is sent; answers 500 while `broken`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: set[str] = set()
        self.broken = False
        platform = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                platform.paths.add(self.path)
                platform.received.append(json.loads(body))
                self.send_response(500 if platform.broken else 200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def latest(self) -> dict[str, Any]:
        return self.received[-1] if self.received else {}


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()
    yield platform
    platform.server.shutdown()
    platform.server.server_close()


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
    assert platform.paths == {"/registry/heartbeat"}
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
