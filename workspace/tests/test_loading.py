"""The A2A SDK is loaded for the first request that needs it: what holds before, meanwhile, and when it fails."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from live_workspace import CARD, Launcher, Workspace

LOADED = "Loaded the A2A server"


def start(launch: Launcher, folder: Path | None = None, **extra: str) -> Workspace:
    """Start a workspace and wait as a replacement does: for its state, not for its card."""
    workspace = launch(wait=False, folder=folder, **extra)

    def serves() -> bool:
        assert workspace.process.poll() is None, workspace.log
        try:
            return bool(workspace.status()["state"] == "serving")
        except httpx.TransportError:
            return False

    workspace.until(serves)
    return workspace


def imported(workspace: Workspace) -> set[str]:
    """Return the modules that were imported so far, which Python itself writes into the log."""
    lines = (line for line in workspace.log.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def test_a_workspace_that_nobody_talks_to_loads_no_sdk(launch: Launcher) -> None:
    workspace = start(launch, PYTHONPROFILEIMPORTTIME="1")
    assert "uvicorn" in imported(workspace)
    assert not imported(workspace) & {
        "a2a",
        "starlette",
        "pydantic",
        "httpx",
        "google.protobuf",
        "urllib.request",
    }
    assert workspace.say("hi").status_code == 200
    assert imported(workspace) >= {"a2a", "starlette"}


def test_requests_that_come_while_it_loads_are_all_answered_and_it_loads_once(launch: Launcher) -> None:
    workspace = start(launch)
    with ThreadPoolExecutor(8) as pool:
        turns = [pool.submit(workspace.say, f"turn {number}") for number in range(6)]
        card = pool.submit(workspace.get, CARD)
        assert all("TASK_STATE_COMPLETED" in turn.result().text for turn in turns)
        assert card.result().status_code == 200
    assert workspace.log.count(LOADED) == 1


def test_a_message_that_arrives_before_the_sdk_is_loaded_counts_as_work(launch: Launcher) -> None:
    workspace = start(launch)
    with ThreadPoolExecutor() as pool:
        turn = pool.submit(workspace.say, "sleep 0.5: kept")
        workspace.until(lambda: workspace.status()["activeTasks"] + workspace.status()["queuedTasks"] == 1)
        assert workspace.stop() == 0
        assert "echo: kept" in turn.result().text


def test_an_sdk_that_cannot_be_loaded_ends_the_process_as_a_broken_build(launch: Launcher) -> None:
    broken = launch.root / "broken" / "a2a"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('half of it is missing')")
    workspace = start(launch, PYTHONPATH=str(broken.parent))
    answer = workspace.get(CARD)
    assert answer.status_code == 500
    assert workspace.process.wait(10) == 70
    assert "Build error: the A2A SDK cannot be used: ImportError: half of it is missing" in workspace.log


def test_a_process_that_was_asked_nothing_leaves_what_the_one_before_it_said(launch: Launcher) -> None:
    first = launch()
    task = first.say("the word is swordfish", "kept").json()["result"]["task"]
    assert first.stop() == 0
    second = launch(folder=first.folder, wait=False)
    second.until(lambda: "Serving on port" in second.log.rpartition("Stopped")[2])
    assert second.stop(signal.SIGTERM) == 0
    assert second.log.count(LOADED) == 1

    third = launch(folder=first.folder)
    assert third.rpc("GetTask", {"id": task["id"]}).json()["result"] == task
    assert "swordfish" in third.say("recall", "kept").text
