"""The adapter on its framework, as a workspace runs it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from model_server import MODEL, SHELL, ModelServer, lines
from template_workspace import Workspace, complaint, reply, state

Make = Callable[..., Workspace]


def test_a_tool_is_used_in_the_first_turn_and_known_in_the_second(
    workspace: Workspace, model: ModelServer
) -> None:
    first = workspace.say("remember turquoise")
    assert state(first) == "completed", complaint(first)
    assert reply(first).startswith("The tool said: ")
    assert "turquoise" in reply(first)
    second = workspace.say("recite", first["contextId"])
    assert reply(second) == "remember turquoise"
    sent = json.dumps(model.requests[-1]["contents"])
    assert sent.count('"functionResponse"') == 1
    assert "Output: turquoise" in sent or '"turquoise"' in sent


def test_conversations_do_not_hear_each_other(workspace: Workspace) -> None:
    workspace.say("remember turquoise")
    assert reply(workspace.say("recite")) == "nothing"


def test_tools_work_in_the_folder_of_the_workspace(workspace: Workspace) -> None:
    (workspace.folder / "work" / "plan.txt").write_text("the plan")
    assert "the plan" in reply(workspace.say("run cat plan.txt"))


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
    assert reply(workspace.say("recite", context)) == "remember turquoise"


def test_a_cancelled_turn_ends_what_its_tools_started(workspace: Workspace) -> None:
    task = workspace.say("run echo $$ > pid; sleep 300; true", wait=False)
    file = workspace.folder / "work" / "pid"
    workspace.eventually(lambda: file.exists() and file.read_text().strip().isdecimal())
    pid = int(file.read_text())
    assert Path(f"/proc/{pid}").exists()
    assert state(workspace.rpc("CancelTask", {"id": task["id"]})) == "canceled"
    workspace.eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert not list((workspace.folder / "tmp").iterdir())


def test_an_answer_of_hundreds_of_kilobytes_at_once_arrives_whole(workspace: Workspace) -> None:
    answer = workspace.say("speak 600")
    assert state(answer) == "completed", complaint(answer)
    assert reply(answer) == lines(600)
    assert not list((workspace.folder / "tmp").iterdir())


def test_a_long_message_that_ends_like_an_option_is_a_message(workspace: Workspace) -> None:
    text = f"heed {' '.join(map(str, range(50_000)))}\n--help"
    answer = workspace.say(text)
    assert state(answer) == "completed", complaint(answer)
    assert reply(answer) == f"{len(text)} characters"
    again = workspace.say("recite", answer["contextId"])
    assert state(again) == "completed", complaint(again)
    assert reply(again) == text


@pytest.mark.parametrize(
    ("environment", "config", "told"),
    [
        (
            {"GEMINI_API_KEY": "key-of-somebody-else-9876"},
            "",
            "refused the key in GEMINI_API_KEY with HTTP 400",
        ),
        (
            {"GEMINI_API_KEY": "key-withdrawn-from-9876"},
            "",
            "refused the key in GEMINI_API_KEY with HTTP 401",
        ),
        ({"GEMINI_API_KEY": ""}, "", "GEMINI_API_KEY is not set"),
        ({}, "model: other\n", "correct GOOGLE_GEMINI_BASE_URL, or model 'other' in config.yaml"),
    ],
)
def test_what_the_owner_must_change_is_told_as_configuration(
    make: Make, environment: dict[str, str], config: str, told: str
) -> None:
    with make(config or f"model: {MODEL}\n", **environment) as workspace:
        whose, said = complaint(workspace.say("recite"))
        assert (whose, told in said) == ("configuration", True), said
        assert "9876" not in said + workspace.log


def test_a_refusal_that_is_not_about_the_key_is_nobodys_configuration(make: Make) -> None:
    with make(GOOGLE_GEMINI_BASE_URL="not a url") as workspace:
        whose, said = complaint(workspace.say("recite"))
        assert whose == "task"
        assert "Invalid custom base URL" in said


def test_a_folder_that_is_not_there_ends_the_start_as_configuration(make: Make) -> None:
    workspace = make("runtime_config: {folder: /absent}\n")
    with pytest.raises(AssertionError, match="ended with 78"):
        workspace.start()
    assert "/absent is not a folder" in workspace.log


def test_a_conversation_that_is_damaged_is_kept_aside(fresh: Workspace) -> None:
    context = fresh.say("remember turquoise")["contextId"]
    (file,) = (fresh.folder / "configs" / "gemini").iterdir()
    file.write_text("{")
    assert reply(fresh.say("recite", context)) == "remember turquoise", "the runtime remembers it, too"
    assert "is unusable" in fresh.log
    assert len(list(file.parent.glob("*.unusable-*"))) == 1
    assert SHELL not in file.read_text()
