"""The adapter on its framework, as a workspace runs it."""

from molecule_runtime.adapter_testing.claims import AdapterClaims
from molecule_runtime.adapter_testing.model import Call, ModelServer
from molecule_runtime.adapter_testing.openai_chat import OpenAIChat
from molecule_runtime.adapter_testing.process import Workspace, reply

SETTINGS = "runtime_config: {{folder: {work}}}\n"


class ENDPOINT(OpenAIChat):
    def call(self, verb: str, argument: str) -> Call:
        if verb == "delegate":
            subagent = {"description": argument, "subagent_type": "general-purpose"}
            return Call("task", subagent)
        return Call(verb, {"file_path": argument}) if verb == "read_file" else super().call(verb, argument)


class TestDeepAgents(AdapterClaims):
    def test_files_of_the_workspace_are_read(self, workspace: Workspace) -> None:
        (workspace.folder / "work" / "plan.txt").write_text("the plan")
        assert "the plan" in reply(workspace.say("read_file /plan.txt"))

    def test_nothing_outside_the_workspace_is_read(self, workspace: Workspace) -> None:
        outside = workspace.folder / "configs" / "config.yaml"
        answer = reply(workspace.say(f"read_file /../configs/{outside.name}"))
        assert "some-model" not in answer
        assert "The tool said" in answer

    def test_a_subagent_reports_to_the_agent_and_its_words_are_not_taken_for_the_answer(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        answer = reply(workspace.say("delegate recall"))
        assert answer.startswith("The tool said: The tool said: ")
        assert len(model.requests) == 4
