"""The audit ledger: every use of a tool is in it, and no line changes or goes unnoticed."""

import json
import multiprocessing
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from live_workspace import Launcher

Load = Callable[[str], ModuleType]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ledger(load: Load, tmp_path: Path) -> Any:
    return load("builtin_tools.audit").AuditLedger(tmp_path, lambda text: text.replace("hunter2", "[secret]"))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def test_each_use_of_a_tool_is_written_down_without_secrets(load: Load, ledger: Any, tmp_path: Path) -> None:
    def run(text: str) -> str:
        if text == "break":
            raise ValueError("hunter2 is wrong")
        return f"did {text}"

    tool = ledger.watch(
        load("builtin_tools.tool").Tool(name="do", description="", run=run, parameters={"text": ""})
    )
    assert tool.run(text="hunter2") == "did hunter2"
    with pytest.raises(ValueError, match="hunter2"):
        tool.run(text="break")
    told = [(line["tool"], line["arguments"], line["outcome"], line["text"]) for line in lines(tmp_path)]
    assert told == [
        ("do", {"text": "[secret]"}, "done", "did [secret]"),
        ("do", {"text": "break"}, "failed", "ValueError: [secret] is wrong"),
    ]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda all_: [all_[0], all_[1].replace(b"two", b"2wo"), all_[2]],
            "line 2 was changed after it was written",
        ),
        (lambda all_: [all_[0], all_[2]], "line 2 does not follow the line before it"),
        (lambda all_: [all_[1], all_[0], all_[2]], "line 1 does not follow the line before it"),
        (lambda all_: [all_[0], b"nonsense", all_[2]], "line 2 is damaged"),
    ],
)
def test_what_is_done_to_a_line_is_noticed(
    ledger: Any, tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    for text in ("one", "two", "three"):
        ledger.add({"text": text})
    assert ledger.verify().problem is None
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())) + b"\n")
    assert says in ledger.verify().problem


def test_an_end_that_was_cut_off_is_noticed_by_who_knows_an_earlier_digest(
    ledger: Any, tmp_path: Path
) -> None:
    first, last = ledger.add({"text": "one"}), ledger.add({"text": "two"})
    assert ledger.verify(last).problem is None
    path = tmp_path / "audit.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert ledger.verify(first).problem is None
    assert "was cut off" in ledger.verify(last).problem


def test_a_line_that_a_kill_cut_off_stays_noticed(ledger: Any, tmp_path: Path) -> None:
    ledger.add({"text": "one"})
    path = tmp_path / "audit.jsonl"
    path.write_bytes(path.read_bytes() + b'{"text": "cut')
    ledger.add({"text": "two"})
    assert "line 2 is damaged" in ledger.verify().problem


def _add(folder: Path, ledger_class: Any) -> None:
    for number in range(20):
        ledger_class(folder, str).add({"text": str(number)})


def test_several_processes_write_one_chain(load: Load, ledger: Any, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ledger_class = load("builtin_tools.audit").AuditLedger
    writers = [context.Process(target=_add, args=(tmp_path, ledger_class)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (ledger.verify().lines, ledger.verify().problem) == (80, None)


def test_the_command_verifies_the_ledger_of_the_workspace(
    launch: Launcher, ledger: Any, tmp_path: Path, run_command: Run
) -> None:
    environ = {**launch.environ(tmp_path / "w"), "WORKSPACE_CONFIG_PATH": str(tmp_path)}
    digest = ledger.add({"text": "one"})
    done = run_command("audit", environ=environ, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"1 lines hold, digest {digest}\n")
    gone = run_command("audit", "f" * 64, environ=environ, cwd=tmp_path)
    assert gone.returncode == 1
    assert "was cut off; 1 lines before it hold" in gone.stderr
