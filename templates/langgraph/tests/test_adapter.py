"""The adapter on its framework, as a workspace runs it."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from model_server import MODEL, ModelServer, text
from template_workspace import Workspace, complaint, reply, state

Make = Callable[..., Workspace]


def test_a_tool_is_used_in_the_first_turn_and_known_in_the_second(
    workspace: Workspace, model: ModelServer
) -> None:
    first = workspace.say("remember turquoise")
    assert (state(first), reply(first)) == ("completed", "The tool said: Remembered: turquoise")
    second = workspace.say("recite", first["contextId"])
    assert reply(second) == "remember turquoise"
    roles = [message["role"] for message in model.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert "turquoise" in (workspace.folder / "configs" / "memory.jsonl").read_text()


def test_conversations_do_not_hear_each_other(workspace: Workspace) -> None:
    workspace.say("remember turquoise")
    assert reply(workspace.say("recite")) == "nothing"


def test_words_reach_a_caller_who_streams_before_the_model_has_ended(
    workspace: Workspace, model: ModelServer
) -> None:
    pieces = workspace.stream("pause")
    assert next(pieces) == "first"
    model.go_on.set()
    assert "".join(pieces) == " second"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_conversation_goes_on_after_a_restart(workspace: Workspace, number: int) -> None:
    context = workspace.say("remember turquoise")["contextId"]
    workspace.stop(number)
    workspace.start()
    assert reply(workspace.say("recite", context)) == "remember turquoise"


def test_a_turn_counts_as_long_as_it_runs_and_a_drain_lets_it_end(
    workspace: Workspace, model: ModelServer
) -> None:
    assert workspace.status()["activeTasks"] == 0
    task = workspace.say("pause", wait=False)
    workspace.until(active=1)
    assert workspace.ctl("drain")["state"] == "draining"
    assert workspace.refusal("recite") == 503
    model.go_on.set()
    workspace.until(active=0)
    ended = workspace.rpc("GetTask", {"id": task["id"]})
    assert (state(ended), reply(ended)) == ("completed", "first second")
    assert workspace.ctl("resume")["state"] == "serving"


def test_a_cancelled_turn_lets_go_of_the_model_and_of_the_conversation(
    workspace: Workspace, model: ModelServer
) -> None:
    context = workspace.say("remember turquoise")["contextId"]
    task = workspace.say("pause", context, wait=False)
    assert model.pausing.wait(60)
    assert state(workspace.rpc("CancelTask", {"id": task["id"]})) == "canceled"
    assert model.hung_up.wait(60)
    workspace.until(active=0)
    assert "remember turquoise" in reply(workspace.say("recite", context))


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
    (answer,) = (text(each) for each in model.requests[-1]["messages"] if each["role"] == "tool")
    assert answer == "This call was cancelled; it may have been carried out or not"


def steps_kept(workspace: Workspace) -> int:
    """How many steps of all turns are in the state file: the message, its acceptance, the model's call."""
    with sqlite3.connect(workspace.folder / "configs" / "langgraph.sqlite") as database:
        count: int = database.execute("select count(*) from checkpoints").fetchone()[0]
        return count


def test_a_tool_that_fails_tells_the_model(fresh: Workspace) -> None:
    (fresh.folder / "configs" / "memory.jsonl").mkdir()
    assert "Is a directory" in reply(fresh.say("remember turquoise"))


@pytest.mark.parametrize(
    ("environment", "config", "told"),
    [
        (
            {"OPENAI_API_KEY": "key-of-somebody-else-9876"},
            "",
            "refused the key in OPENAI_API_KEY with HTTP 401",
        ),
        ({"OPENAI_API_KEY": ""}, "", "OPENAI_API_KEY is not set"),
        ({}, "model: other\n", "correct OPENAI_BASE_URL, or the model's name in config.yaml"),
    ],
)
def test_what_the_owner_must_change_is_told_as_configuration(
    make: Make, environment: dict[str, str], config: str, told: str
) -> None:
    with make(config or f"model: {MODEL}\n", **environment) as workspace:
        whose, said = complaint(workspace.say("recite"))
        assert (whose, told in said) == ("configuration", True), said
        assert "somebody-else" not in said + workspace.log


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
    assert "Starting without earlier conversations" in workspace.log
