"""Draining: new work is refused, running work goes on, and nobody stays drained for ever."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from live_workspace import CARD, HTTP, Launcher, Workspace

OLD_MESSAGE = {
    "message": {
        "kind": "message",
        "messageId": "m",
        "role": "user",
        "parts": [{"kind": "text", "text": "hi"}],
    }
}
RIGHT = "right"
TIME = {"timeoutSeconds": 60}
NEW_MESSAGE = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}}


def drain(workspace: Workspace, body: object, token: str | None = RIGHT) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}".strip()} if token is not None else {}
    return HTTP.post(f"{workspace.url}/runtime/drain", headers=headers, json=body)


def resume(workspace: Workspace, token: str = RIGHT) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}".strip()}
    return HTTP.delete(f"{workspace.url}/runtime/drain", headers=headers)


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "token"
    path.write_text(f"{RIGHT}\n")
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, token_file: Path) -> Iterator[Workspace]:
    with Launcher(tmp_path_factory.mktemp("guarded")) as launcher:
        yield launcher(WORKSPACE_CONTROL_TOKEN_FILE=str(token_file))


@pytest.fixture
def guarded(running: Workspace, token_file: Path) -> Iterator[Workspace]:
    """A workspace with a control token, which serves before and after each test."""
    yield running
    token_file.write_text(RIGHT)
    assert resume(running).json()["state"] == "serving"


def test_while_draining_new_work_gets_503_and_running_work_ends_well(guarded: Workspace) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(guarded.say, "sleep 1.5: survived", "busy")
        guarded.until(lambda: guarded.status()["activeTasks"] == 1)

        status = drain(guarded, TIME).json()
        assert (status["state"], status["activeTasks"], status["queuedTasks"]) == ("draining", 1, 0)

        for method, message in (
            ("SendMessage", NEW_MESSAGE),
            ("SendStreamingMessage", NEW_MESSAGE),
            ("message/send", OLD_MESSAGE),
            ("message/stream", OLD_MESSAGE),
        ):
            refused = guarded.rpc(method, message)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            document = refused.json()
            assert (document["jsonrpc"], document["id"], document["error"]["code"]) == ("2.0", 7, -32050)
            assert document["error"]["data"][0]["reason"] == "DRAINING"
        assert guarded.status()["activeTasks"] == 1
        assert guarded.rpc("ListTasks", {}).json()["result"]["tasks"][0]["contextId"] == "busy"
        assert guarded.get(CARD).status_code == 200

        answer = call.result().json()["result"]["task"]
        assert answer["artifacts"][0]["parts"][0]["text"] == "echo: survived"
    guarded.until(lambda: guarded.status()["activeTasks"] == 0)
    assert guarded.status()["state"] == "draining"
    assert resume(guarded).json()["state"] == "serving"
    assert guarded.say("hello again").status_code == 200


def test_draining_over_http_needs_the_control_token(guarded: Workspace, token_file: Path) -> None:
    for token in (None, "wrong", "", "right but longer"):
        refused = drain(guarded, TIME, token)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert resume(guarded, "wrong").status_code == 401
    assert guarded.status()["state"] == "serving"

    token_file.write_text("rotated")
    assert drain(guarded, TIME).status_code == 401
    assert drain(guarded, TIME, "rotated").status_code == 200
    token_file.write_text("\n")
    assert resume(guarded, "").status_code == 403
    assert guarded.status()["state"] == "draining"


def test_without_a_control_token_draining_over_http_is_off_and_says_so(served: Workspace) -> None:
    refused = drain(served, TIME)
    assert refused.status_code == 403
    assert "WORKSPACE_CONTROL_TOKEN_FILE is not set" in refused.json()["error"]
    assert "molecule-runtime ctl drain" in refused.json()["error"]
    assert served.status()["state"] == "serving"


def test_a_drain_without_a_sensible_time_is_refused(guarded: Workspace) -> None:
    for seconds in (0, -1, 86_401, 1.5, "9", True, None):
        refused = drain(guarded, {"timeoutSeconds": seconds})
        assert refused.status_code == 400
        assert "1 to 86400" in refused.json()["error"]
    assert drain(guarded, ["timeoutSeconds"]).status_code == 400
    assert guarded.status()["state"] == "serving"


def test_ctl_drains_and_resumes_without_a_token(guarded: Workspace) -> None:
    workspace = guarded
    drained = workspace.ctl("drain", "--timeout", "60")
    assert drained.returncode == 0
    assert json.loads(drained.stdout)["state"] == "draining"
    assert workspace.say("hi").status_code == 503
    resumed = workspace.ctl("resume")
    assert (resumed.returncode, json.loads(resumed.stdout)["state"]) == (0, "serving")
    assert workspace.say("hi").status_code == 200


def test_a_drain_that_nobody_renews_ends_by_itself_and_says_so(guarded: Workspace) -> None:
    workspace = guarded
    workspace.ctl("drain", "--timeout", "2")
    time.sleep(1.1)
    assert json.loads(workspace.ctl("drain", "--timeout", "2").stdout)["state"] == "draining"
    time.sleep(1.1)
    assert workspace.status()["state"] == "draining", "the renewal did not count"
    workspace.until(lambda: workspace.status()["state"] == "serving")
    assert "Taking work again: the drain's time passed and nobody stopped or renewed it" in workspace.log
    assert workspace.say("hi").status_code == 200


def test_a_signal_drains_one_without_asking_for_a_token(guarded: Workspace) -> None:
    guarded.process.send_signal(getattr(signal, guarded.status()["drainSignal"]))
    guarded.until(lambda: guarded.status()["state"] == "draining")
    assert guarded.say("hi").status_code == 503


def test_a_signal_leaves_a_drain_its_time(guarded: Workspace) -> None:
    guarded.ctl("drain", "--timeout", "1")
    guarded.process.send_signal(signal.SIGURG)
    guarded.until(lambda: guarded.status()["state"] == "serving")
