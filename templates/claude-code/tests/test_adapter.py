"""The adapter on its framework, as a workspace runs it."""

import shutil
from pathlib import Path

import pytest
from anthropic_messages import AnthropicMessages
from molecule_runtime.adapter_testing.claims import AdapterClaims, Make
from molecule_runtime.adapter_testing.model import ModelServer
from molecule_runtime.adapter_testing.process import Workspace, reply, state

ENDPOINT = AnthropicMessages
SETTINGS = "runtime_config: {{folder: {work}}}\n"


class TestClaudeCode(AdapterClaims):
    def test_tools_work_in_the_folder_of_the_workspace(self, workspace: Workspace) -> None:
        (workspace.folder / "work" / "plan.txt").write_text("the plan")
        assert "the plan" in reply(workspace.say("run cat plan.txt"))

    def test_the_tools_of_the_runtime_are_offered_beside_its_own(self, workspace: Workspace) -> None:
        (workspace.folder / "configs" / "memory.jsonl").write_text('{"at": "today", "text": "turquoise"}\n')
        assert "today turquoise" in reply(workspace.say("recall"))

    def test_a_cancelled_turn_ends_what_its_tools_started(self, workspace: Workspace) -> None:
        task = workspace.say("run echo $$ > pid; sleep 300; true", wait=False)
        file = workspace.folder / "work" / "pid"
        workspace.eventually(lambda: file.exists() and file.read_text().strip().isdecimal())
        pid = int(file.read_text())
        assert Path(f"/proc/{pid}").exists()
        assert state(workspace.rpc("CancelTask", {"id": task["id"]})) == "canceled"
        workspace.eventually(lambda: not Path(f"/proc/{pid}").exists())

    def test_a_conversation_whose_session_is_gone_goes_on_with_what_the_runtime_remembers(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        shutil.rmtree(workspace.folder / "configs" / "claude" / "projects")
        workspace.say("recite", context)
        assert "User: remember turquoise" in model.requests[-1].said[-1]


def test_a_folder_that_is_not_there_ends_the_start_as_configuration(make: Make) -> None:
    workspace = make("runtime_config: {folder: /absent}\n")
    with pytest.raises(AssertionError, match="ended with 78"):
        workspace.start()
    assert "/absent is not a folder" in workspace.log
