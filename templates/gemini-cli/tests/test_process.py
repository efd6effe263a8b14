"""One run of a program that behaves at its end as the CLI does: it exits with writes that a full pipe has not taken."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from molecule_runtime.adapter_testing.process import RUNTIME

sys.path.append(str(Path(__file__).resolve().parents[1]))

from gemini_process import GeminiProcess, running

PROGRAM = """
const event = JSON.stringify({text: "x".repeat(600_000)});
process.stdout.write(event + "\\n" + event);
process.stderr.write("y".repeat(600_000) + "\\nError: the end\\n");
process.exit(3);
"""


async def events(folder: Path, program: str, prompt: str) -> tuple[list[Mapping[str, Any]], GeminiProcess]:
    command = (str(RUNTIME.parent / "node"), "-e", program, "--")
    async with (
        running(command, settings={}, session="", prompt=prompt, folder=folder) as process,
        aclosing(process.events()) as found,
    ):
        return [event async for event in found], process


@pytest.mark.parametrize("_time", range(10))
def test_what_it_writes_at_its_very_end_is_read(_time: int, tmp_path: Path) -> None:
    found, process = asyncio.run(events(tmp_path, PROGRAM, ""))
    assert [len(event["text"]) for event in found] == [600_000, 600_000]
    assert (process.code, process.errors[-1]) == (3, "Error: the end")


def test_a_prompt_of_megabytes_reaches_it(tmp_path: Path) -> None:
    program = "console.log(JSON.stringify({size: require('fs').readFileSync(0).length}))"
    found, _process = asyncio.run(events(tmp_path, program, "ä" * 2_000_000))
    assert found == [{"size": 4_000_000}]


def test_nothing_of_a_run_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = "console.log(JSON.stringify({home: process.env.GEMINI_CLI_HOME}))"
    found, _process = asyncio.run(events(tmp_path, program, ""))
    assert Path(found[0]["home"]).parent == tmp_path
    assert list(tmp_path.iterdir()) == []
