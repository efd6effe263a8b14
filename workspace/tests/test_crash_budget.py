"""Starts that fail again and again: after a few the workspace only says why, until somebody changes something."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from live_workspace import Launcher

Load = Callable[[str], ModuleType]
WRONG, RIGHT = "tier: high\n", "tier: 1\n"


def test_after_five_failed_starts_a_workspace_waits_for_a_change_and_says_why(launch: Launcher) -> None:
    folder = launch.root / "w"
    for _ in range(5):
        failing = launch(folder=folder, config=WRONG, wait=False)
        assert failing.process.wait(30) == 78

    waiting = launch(folder=folder, wait=False)
    waiting.until(lambda: "Not starting: 5 starts in a row failed" in waiting.log)
    assert "tier is 'high'; write a whole number from 0 to 100; correct that and save" in waiting.log
    assert waiting.process.poll() is None
    (folder / "configs" / "config.yaml").write_text(RIGHT)
    assert waiting.process.wait(20) == 1
    serving = launch(folder=folder)
    assert serving.status()["state"] == "serving"
    assert not (folder / "configs" / "runtime-failures.json").exists()


def budget(load: Load, folder: Path, **more: str) -> Any:
    environ = {"ADAPTER_MODULE": "adapter", **more}
    return load("crash_budget").CrashBudget(folder, content_sha256="a" * 64, environ=environ)


def use_up(load: Load, folder: Path) -> None:
    for _ in range(5):
        start = budget(load, folder)
        assert start.begin() is None
        start.failed("no luck")


def test_another_adapter_or_configuration_begins_anew(load: Load, tmp_path: Path) -> None:
    use_up(load, tmp_path)
    assert budget(load, tmp_path).begin().reason == "no luck"
    assert budget(load, tmp_path, ADAPTER_MODULE="other").begin() is None
    use_up(load, tmp_path)
    (tmp_path / "config.yaml").write_text("name: changed\n")
    assert budget(load, tmp_path).begin() is None


def test_a_killed_start_counts_and_one_that_serves_begins_anew(load: Load, tmp_path: Path) -> None:
    for _ in range(5):
        budget(load, tmp_path).begin()
    assert "killed" in budget(load, tmp_path).begin().reason
    (tmp_path / "runtime-failures.json").unlink()
    use_up(load, tmp_path)
    budget(load, tmp_path).over()
    assert budget(load, tmp_path).begin() is None


def test_a_start_that_is_told_to_stop_does_not_count_and_takes_nothing_back(
    load: Load, tmp_path: Path
) -> None:
    use_up(load, tmp_path)
    for _ in range(2):
        waiting = budget(load, tmp_path)
        assert waiting.begin().count == 5
        waiting.withdraw()
    (tmp_path / "config.yaml").write_text("name: changed\n")
    for _ in range(6):
        start = budget(load, tmp_path)
        assert start.begin() is None
        start.withdraw()


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_clock_that_jumps_keeps_no_workspace_down(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    use_up(load, tmp_path)
    now = time.time()
    monkeypatch.setattr(load("crash_budget").time, "time", lambda: now + jump)
    assert budget(load, tmp_path).begin() is None


@pytest.mark.parametrize("content", ["{", "[]", '{"key": 1}', '{"moments": 7, "reason": 1, "key": "a"}'])
def test_a_damaged_count_begins_anew(load: Load, tmp_path: Path, content: str) -> None:
    (tmp_path / "runtime-failures.json").write_text(content)
    assert budget(load, tmp_path).begin() is None
    assert len(json.loads((tmp_path / "runtime-failures.json").read_text())["moments"]) == 1


def test_a_folder_that_cannot_be_written_to_costs_no_start(load: Load) -> None:
    assert budget(load, Path(f"/proc/{os.getpid()}/none")).begin() is None
