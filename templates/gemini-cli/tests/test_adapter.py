"""The adapter on its framework, as a workspace runs it."""

from pathlib import Path

import pytest
from gemini_api import SHELL, GeminiAPI, lines
from molecule_runtime.adapter_testing.claims import AdapterClaims, Make
from molecule_runtime.adapter_testing.process import Workspace, complaint, reply, state

ENDPOINT = GeminiAPI
SETTINGS = "runtime_config: {{folder: {work}}}\n"


class TestGeminiCli(AdapterClaims):
    def test_tools_work_in_the_folder_of_the_workspace(self, workspace: Workspace) -> None:
        (workspace.folder / "work" / "plan.txt").write_text("the plan")
        assert "the plan" in reply(workspace.say("run cat plan.txt"))

    def test_a_cancelled_turn_ends_what_its_tools_started(self, workspace: Workspace) -> None:
        task = workspace.say("run echo $$ > pid; sleep 300; true", wait=False)
        file = workspace.folder / "work" / "pid"
        workspace.eventually(lambda: file.exists() and file.read_text().strip().isdecimal())
        pid = int(file.read_text())
        assert Path(f"/proc/{pid}").exists()
        assert state(workspace.rpc("CancelTask", {"id": task["id"]})) == "canceled"
        workspace.eventually(lambda: not Path(f"/proc/{pid}").exists())
        assert not list((workspace.folder / "tmp").iterdir())

    def test_an_answer_of_hundreds_of_kilobytes_at_once_arrives_whole(self, workspace: Workspace) -> None:
        answer = workspace.say("speak 600")
        assert state(answer) == "completed", complaint(answer)
        assert reply(answer) == lines(600)
        assert not list((workspace.folder / "tmp").iterdir())

    def test_a_long_message_that_ends_like_an_option_is_a_message(self, workspace: Workspace) -> None:
        text = f"heed {' '.join(map(str, range(50_000)))}\n--help"
        answer = workspace.say(text)
        assert state(answer) == "completed", complaint(answer)
        assert reply(answer) == f"{len(text)} characters"
        again = workspace.say("recite", answer["contextId"])
        assert state(again) == "completed", complaint(again)
        assert reply(again) == text


def test_the_words_with_which_the_real_endpoint_refuses_a_wrong_key_are_told_as_configuration(
    make: Make,
) -> None:
    with make(GEMINI_API_KEY="key-of-somebody-else-9876") as workspace:
        whose, said = complaint(workspace.say("recite"))
        assert (whose, "refused the key in GEMINI_API_KEY with HTTP 400" in said) == (
            "configuration",
            True,
        ), said
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
