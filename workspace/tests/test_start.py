"""Starting: what is said while it lasts, and whose fault it is when it fails."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import pytest
from live_workspace import CARD, INSTALLED, Launcher, Workspace, command

Run = Callable[..., subprocess.CompletedProcess[str]]

SLOW = """
import asyncio
from collections.abc import AsyncIterator
from adapters.base import BaseAdapter, Turn

class Slow(BaseAdapter):
    name = "slow"
    async def setup(self) -> None:
        await asyncio.sleep(float(self.config.runtime_config["seconds"]))
    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        yield self.config.name
"""


def test_until_the_adapter_is_set_up_the_workspace_says_that_it_starts(launch: Launcher) -> None:
    workspace = launch(adapter=SLOW, config="name: late\nruntime_config: {seconds: 1.5}\n", wait=False)
    workspace.until(lambda: workspace.ctl("status").returncode == 0)
    assert json.loads(workspace.ctl("status").stdout)["state"] == "starting"

    def card_status() -> int:
        try:
            return workspace.get(CARD).status_code
        except httpx.TransportError:
            return 0

    workspace.until(lambda: card_status() == 503)
    assert workspace.status()["state"] == "starting"
    refused = workspace.say("hi")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["data"][0]["reason"] == "STARTING"
    workspace.until(lambda: card_status() == 200)
    assert "late" in workspace.say("hi").text


@pytest.mark.parametrize("phase", ["importing", "setting up"])
def test_a_stop_while_starting_ends_the_process_at_once_and_cleanly(launch: Launcher, phase: str) -> None:
    adapter = SLOW if phase == "setting up" else f"import time\ntime.sleep(30)\n{SLOW}"
    workspace = launch(adapter=adapter, config="runtime_config: {seconds: 30}\n", wait=False)
    if phase == "importing":
        workspace.until(lambda: "Listening for control" in workspace.log)
    else:
        workspace.until(lambda: _answers(workspace))
    begun = time.monotonic()
    assert workspace.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 15


def _answers(workspace: Workspace) -> bool:
    try:
        return workspace.get("/runtime").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("config", "extra", "says"),
    [
        (
            "limits: {max_concurrent_tasks: none}",
            {},
            "limits.max_concurrent_tasks is 'none'; write a whole number",
        ),
        ("name: [a", {}, "is not valid YAML"),
        ("", {"PORT": "http"}, "PORT is not a TCP port: 'http'; use a number from 1 to 65535"),
        ("", {"ADAPTER_MODULE": ""}, "ADAPTER_MODULE is not set; set it to the importable module"),
    ],
)
def test_a_configuration_error_ends_with_78_and_names_key_and_cure(
    launch: Launcher, run_command: Run, config: str, extra: dict[str, str], says: str
) -> None:
    folder = launch.root / "w"
    environ = launch.environ(folder, **extra)
    (folder / "configs" / "config.yaml").write_text(config)
    for arguments in ((), ("preflight",)):
        ended = run_command(*arguments, environ=environ, cwd=folder)
        assert ended.returncode == 78
        assert "Configuration error: " in ended.stderr
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr


REFUSING_KEY = """
from adapters.base import AdapterConfigurationError, BaseAdapter
class Keyed(BaseAdapter):
    name = "keyed"
    async def setup(self):
        raise AdapterConfigurationError("MODEL_KEY is not set; set it to a key of your model provider")
    async def execute(self, turn):
        yield ""
"""
BREAKING = """
from adapters.base import BaseAdapter
class Broken(BaseAdapter):
    name = "broken"
    async def setup(self):
        raise ZeroDivisionError("nothing left")
    async def execute(self, turn):
        yield ""
"""


@pytest.mark.parametrize(
    ("adapter", "code", "says"),
    [
        ("import framework_that_nobody_installed", 70, "No module named 'framework_that_nobody_installed'"),
        ("def broken(:", 70, "SyntaxError"),
        ("x = {}['left out']", 70, "KeyError: 'left out'"),
        ("x = 1", 70, "defines these subclasses of BaseAdapter: none"),
        (BREAKING, 70, "Build error: the adapter's setup failed: ZeroDivisionError: nothing left"),
        (REFUSING_KEY, 78, "Configuration error: MODEL_KEY is not set"),
    ],
)
def test_a_broken_adapter_is_a_build_error_and_a_missing_key_is_not(
    launch: Launcher, adapter: str, code: int, says: str
) -> None:
    workspace = launch(adapter=adapter, wait=False)
    assert workspace.process.wait(30) == code
    assert says in workspace.log
    if code == 70:
        assert "Build error: " in workspace.log


def test_preflight_passes_where_serving_would(launch: Launcher, run_command: Run) -> None:
    folder = launch.root / "w"
    ended = run_command("preflight", environ=launch.environ(folder), cwd=folder)
    assert (ended.returncode, ended.stderr.count("Error")) == (0, 0)
    assert "EchoAdapter" in ended.stdout


def test_a_taken_port_ends_with_71_and_names_it(launch: Launcher) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - the address that the workspace wants
        port = taken.getsockname()[1]
        workspace = launch(wait=False, PORT=str(port))
        assert workspace.process.wait(30) == 71
    assert f"Cannot listen on 0.0.0.0:{port}: Address already in use" in workspace.log


def test_what_is_missing_around_it_is_said_and_it_serves_all_the_same(launch: Launcher) -> None:
    workspace = launch(
        WORKSPACE_CONTROL_SOCKET="/proc/none/control.sock",
        WORKSPACE_CONFIG_PATH="/proc/none",
        PLATFORM_URL="http://127.0.0.1:9",
    )
    assert "Serving without a control socket" in workspace.log
    assert "WORKSPACE_CONTROL_SOCKET" in workspace.log
    assert "Found no /proc/none/config.yaml, using defaults" in workspace.log
    assert "Sending no heartbeats: PLATFORM_URL is set, but WORKSPACE_ID is not" in workspace.log
    assert workspace.say("hi").status_code == 200
    assert workspace.stop() == 0
    assert "heartbeat 1" not in workspace.log
    assert "Losing conversations and tasks: /proc/none/runtime-snapshot.json" in workspace.log


def test_a_socket_left_by_a_killed_process_is_taken_over(launch: Launcher) -> None:
    first = launch()
    first.stop(signal.SIGKILL)
    assert first.ctl("status").returncode == 1
    second = launch(folder=first.folder)
    assert second.ctl("status").returncode == 0
    assert second.stop() == 0
    assert not (second.folder / "run" / "control.sock").exists()


def test_ctl_says_when_nothing_listens_and_how_it_is_used(launch: Launcher, run_command: Run) -> None:
    folder = launch.root / "w"
    environ = launch.environ(folder)
    for arguments in (["status"], ["drain", "--timeout", "5"], ["resume"]):
        ended = run_command("ctl", *arguments, environ=environ, cwd=folder)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"no runtime listens on {environ['WORKSPACE_CONTROL_SOCKET']}" in ended.stderr
    for arguments in (["explode"], [], ["drain", "--timeout", "soon"], ["drain", "--timeout"]):
        ended = run_command("ctl", *arguments, environ=environ, cwd=folder)
        assert ended.returncode == 2
        assert "usage: molecule-runtime ctl" in ended.stderr


def test_ctl_reports_what_the_runtime_refuses(served: Workspace) -> None:
    ended = served.ctl("drain", "--timeout", "0")
    assert ended.returncode == 1
    assert "a drain lasts from 1 to 86400 seconds, not 0" in ended.stderr


def test_ctl_imports_nothing_that_is_slow_to_import(launch: Launcher) -> None:
    environ = launch.environ(launch.root / "w")
    python = INSTALLED or sys.executable
    ended = subprocess.run(
        [python, "-X", "importtime", command()[-1], "ctl", "status"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "|" in line}
    assert "socket" in imported
    assert not imported & {
        "a2a",
        "uvicorn",
        "starlette",
        "pydantic",
        "httpx",
        "asyncio",
        "json",
        "logging",
        "yaml",
        "argparse",
    }


def test_other_arguments_show_the_usage(launch: Launcher, run_command: Run) -> None:
    folder = launch.root / "w"
    environ = launch.environ(folder)
    assert run_command("serve", environ=environ, cwd=folder).returncode == 2
    shown = run_command("--help", environ=environ, cwd=folder)
    assert (shown.returncode, "ctl drain" in shown.stdout) == (0, True)
    version = run_command("--version", environ=environ, cwd=folder)
    assert version.stdout.startswith("molecule-ai-workspace-runtime ")
