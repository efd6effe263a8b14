"""A process that fails in any way is found out within its deadline, told with its own last words, and gone afterwards."""

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path

import pytest

from builder.findings import Finding
from builder.stages.boot import BootOrder, examine_boot
from tests.integration.verify.mini_runtime import mini_runtime, running

IDENTITY = {"version": "1.0", "contentSha256": "c" * 64}


def boot(tmp_path: Path, main: str, *, seconds: float = 20.0) -> list[Finding]:
    package = tmp_path / "site" / "molecule_runtime"
    package.mkdir(parents=True)
    (package / "main.py").write_text(main)
    script = tmp_path / "molecule-runtime"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(package.parent)!r})\n"
        "from molecule_runtime.main import main_sync\nsys.exit(main_sync())\n"
    )
    script.chmod(0o755)
    (folder := tmp_path / "boot").mkdir()
    order = BootOrder(
        script=script,
        module="molecule_runtime",
        version="1.0",
        content_sha256="c" * 64,
        deadline_seconds=seconds,
    )
    return asyncio.run(examine_boot(order, folder))


def mini(case: str = "", **identity: str) -> str:
    return mini_runtime(case, identity=repr(IDENTITY | identity))


def test_a_workspace_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    assert boot(tmp_path, mini()) == []


@pytest.mark.parametrize(
    ("main", "finding"),
    [
        ("import os\n\nimport nowhere\n", "molecule_runtime/main.py:3: The process ended with exit code 1 before it served its agent card; its last words: ModuleNotFoundError: No module named 'nowhere'. [BootFailed]"),
        (mini("says why"), "molecule_runtime/main.py: The process ended with exit code 78 before it served its agent card; its last words: Configuration error: x is wrong. [BootFailed]"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "molecule_runtime/main.py: The process was killed by SIGKILL before it served its agent card. [BootFailed]"),
        (mini("no identity"), "molecule_runtime/main.py: The process does not tell its version: GET /runtime answered 503 '\"later\"'. [IdentityMismatch]"),
        (mini(version="1.1"), "molecule_runtime/main.py: The process reports version '1.1' instead of '1.0'. [IdentityMismatch]"),
        (mini(contentSha256="d"), f"molecule_runtime/main.py: The process reports contentSha256 'd' instead of '{'c' * 64}'. [IdentityMismatch]"),
        (mini("fails a turn"), "molecule_runtime/main.py: The process failed turn 1 of 2: the task ended as TASK_STATE_FAILED. [TurnFailed]"),
        (mini("no task"), "molecule_runtime/main.py: The process failed turn 1 of 2: the answer holds no completed task: {'result': {}}. [TurnFailed]"),
        (mini("dies in a turn"), "molecule_runtime/main.py: The process failed turn 1 of 2: Server disconnected. [TurnFailed]"),
        (mini("wrong exit code"), "molecule_runtime/main.py: The process ended with exit code 3 after SIGTERM; its last words: stopping. [StopFailed]"),
        (mini("killed by the signal"), "molecule_runtime/main.py: The process was killed by SIGTERM after SIGTERM. [StopFailed]"),
    ],
)  # fmt: skip
def test_what_fails_is_told_with_its_place_and_last_words(tmp_path: Path, main: str, finding: str) -> None:
    assert list(map(str, boot(tmp_path, main))) == [finding]


def test_a_conversation_that_does_not_go_on_is_found(tmp_path: Path) -> None:
    [finding] = boot(tmp_path, mini("forgets"))
    assert re.fullmatch(
        r"The process failed turn 2 of 2: to 'recall' it answered 'you said before: ', without '[0-9a-f]{16}'\.",
        finding.message,
    )
    assert finding.rule == "TurnFailed"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("hangs", "The process served no agent card within 1 s; the last attempt: nothing listens."),
        (
            "never ready",
            """The process served no agent card within 1 s; the last attempt: GET /.well-known/agent-card.json answered 503 '"later"'.""",
        ),
        ("does not stop", "The process still runs 1 s after SIGTERM."),
    ],
)
def test_nothing_is_waited_for_longer_than_the_deadline_and_nothing_stays(
    tmp_path: Path, case: str, message: str
) -> None:
    [finding] = boot(tmp_path, mini(case), seconds=1.0)
    assert finding.message == message
    assert running(tmp_path) == []


def test_what_the_process_started_is_gone_with_it(tmp_path: Path) -> None:
    [finding] = boot(tmp_path, mini("leaves a child"))
    assert finding.message == "The process ended with exit code 1 before it served its agent card."
    deadline = time.monotonic() + 5  # it was killed; the kernel takes a moment
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running(tmp_path) == []


def test_the_process_gets_a_foreign_folder_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYPI_TOKEN", "secret")
    [finding] = boot(tmp_path, mini("tells"))
    told = json.loads((tmp_path / "boot" / "log").read_text())
    assert (told["cwd"], told["in"]) == (str(tmp_path / "boot" / "elsewhere"), [])
    environment = told["environment"]
    assert environment.pop("PORT").isdecimal()
    assert {name: value for name, value in environment.items() if name != "LC_CTYPE"} == {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "boot" / "elsewhere"),
        "ADAPTER_MODULE": "molecule_runtime.adapters.echo",
        "WORKSPACE_ID": "verify",
        "WORKSPACE_CONFIG_PATH": str(tmp_path / "boot" / "configs"),
        "WORKSPACE_CONTROL_SOCKET": str(tmp_path / "boot" / "control.sock"),
    }
    assert "secret" not in finding.message
