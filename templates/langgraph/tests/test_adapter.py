"""The adapter on its framework, as a workspace runs it."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from molecule_runtime.adapter_testing.claims import AdapterClaims
from molecule_runtime.adapter_testing.model import ModelServer
from molecule_runtime.adapter_testing.openai_chat import OpenAIChat
from molecule_runtime.adapter_testing.process import Workspace, complaint, reply, state

ENDPOINT = OpenAIChat
SETTINGS = ""

Make = Callable[..., Workspace]


class TestLangGraph(AdapterClaims):
    pass


@pytest.mark.parametrize("killed", [True, False])
def test_a_tool_call_that_was_left_open_does_not_spoil_the_conversation(
    fresh: Workspace, model: ModelServer, *, killed: bool
) -> None:
    memory = fresh.folder / "configs" / "memory.jsonl"
    os.mkfifo(memory)  # opening it waits for somebody who reads
    task = fresh.say("remember turquoise", wait=False)
    fresh.eventually(lambda: steps_kept(fresh) == 3)
    if killed:
        fresh.stop(signal.SIGKILL)
        memory.unlink()
        fresh.start()
    else:
        assert state(fresh.rpc("CancelTask", {"id": task["id"]})) == "canceled"
    assert reply(fresh.say("recite", task["contextId"])) == "remember turquoise"
    assert model.requests[-1].answers == ["This call was cancelled; it may have been carried out or not"]


def steps_kept(workspace: Workspace) -> int:
    """How many steps of all turns are in the state file: the message, its acceptance, the model's call."""
    with sqlite3.connect(workspace.folder / "configs" / "langgraph.sqlite") as database:
        count: int = database.execute("select count(*) from checkpoints").fetchone()[0]
        return count


def test_a_tool_that_fails_tells_the_model(fresh: Workspace) -> None:
    (fresh.folder / "configs" / "memory.jsonl").mkdir()
    assert "Is a directory" in reply(fresh.say("remember turquoise"))


def test_an_endpoint_that_is_away_is_nobodys_configuration(make: Make) -> None:
    with make(OPENAI_BASE_URL="http://127.0.0.1:9/v1") as workspace:
        assert complaint(workspace.say("recite"))[0] == "task"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("model: anthropic:claude", "model is 'anthropic:claude'"),
        (
            "runtime_config: {temperature: hot}",
            "runtime_config.temperature is 'hot'; write a number from 0 to 2",
        ),
        ("runtime_config: {max_steps: 0}", "runtime_config.max_steps is 0; write a number from 1 to 1000"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_start_as_configuration(
    make: Make, config: str, told: str
) -> None:
    workspace = make(config)
    with pytest.raises(AssertionError, match="ended with 78"):
        workspace.start()
    assert told in workspace.log


def test_a_state_file_that_is_damaged_is_kept_aside(make: Make) -> None:
    workspace = make()
    state_file = workspace.folder / "configs" / "langgraph.sqlite"
    state_file.write_bytes(b"not a database, " * 1000)
    with workspace:
        assert reply(workspace.say("recite")) == "nothing"
    aside = list(Path(state_file.parent).glob("langgraph.sqlite.unusable-*"))
    assert len(aside) == 1
    assert f"{state_file} is unusable" in workspace.log
