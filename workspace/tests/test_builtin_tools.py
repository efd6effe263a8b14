"""Tools that the runtime gives every agent."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from live_workspace import Launcher

Load = Callable[[str], ModuleType]
ADAPTER = """
from adapters.base import BaseAdapter

class Adapter(BaseAdapter):
    name = "toolbox"

    async def execute(self, turn):
        tools = {tool.name: tool for tool in self.config.tools}
        yield tools["remember"].run(text=turn.text) + " | " + tools["recall"].run()
"""


def test_a_note_is_known_to_every_later_process(load: Load, tmp_path: Path) -> None:
    memory = load("builtin_tools.memory").Memory
    assert memory(tmp_path).recall() == "Nothing is remembered yet"
    assert memory(tmp_path).remember("blue\nis best") == "Remembered: blue\nis best"
    assert memory(tmp_path).remember("ünï 🎈") == "Remembered: ünï 🎈"
    told = memory(tmp_path).recall()
    assert "blue\nis best" in told
    assert told.endswith("ünï 🎈")


def test_only_the_owner_may_read_what_is_remembered(load: Load, tmp_path: Path) -> None:
    load("builtin_tools.memory").Memory(tmp_path).remember("private")
    assert (tmp_path / "memory.jsonl").stat().st_mode & 0o077 == 0


def test_a_damaged_line_costs_only_itself(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = load("builtin_tools.memory").Memory(tmp_path)
    memory.remember("first")
    with (tmp_path / "memory.jsonl").open("ab") as file:
        file.write(b'{"at": "x", "te\n\xff\n[1]\n')
    memory.remember("last")
    with caplog.at_level(logging.WARNING):
        told = memory.recall().splitlines()
    assert [line.split()[-1] for line in told] == ["first", "last"]
    assert "line 2 of" in caplog.text


def test_the_latest_notes_are_recalled(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("builtin_tools.memory")
    monkeypatch.setattr(module, "MAX_RECALLED", 2)
    memory = module.Memory(tmp_path)
    for word in ("one", "two", "three"):
        memory.remember(word)
    assert [line.split()[-1] for line in memory.recall().splitlines()] == ["two", "three"]


def test_a_tool_describes_its_arguments_as_json_schema(load: Load, tmp_path: Path) -> None:
    remember, recall = load("builtin_tools.memory").Memory(tmp_path).tools()
    assert remember.schema() == {
        "type": "object",
        "properties": {"text": {"type": "string", "description": remember.parameters["text"]}},
        "required": ["text"],
        "additionalProperties": False,
    }
    assert recall.schema()["properties"] == {}


def test_an_adapter_is_given_the_tools_of_its_workspace(launch: Launcher, tmp_path: Path) -> None:
    workspace = launch(adapter=ADAPTER, folder=tmp_path / "w")
    said = workspace.say("the sky").json()["result"]["task"]["artifacts"][0]["parts"][0]["text"]
    assert said.startswith("Remembered: the sky | ")
    assert said.endswith("the sky")
    assert "the sky" in (tmp_path / "w" / "configs" / "memory.jsonl").read_text()
