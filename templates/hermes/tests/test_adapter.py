"""The adapter on its framework, as a workspace runs it."""

from molecule_runtime.adapter_testing.claims import AdapterClaims
from molecule_runtime.adapter_testing.model import Call
from molecule_runtime.adapter_testing.openai_chat import OpenAIChat
from molecule_runtime.adapter_testing.process import Workspace, reply

SETTINGS = "runtime_config: {{folder: {work}}}\n"


class ENDPOINT(OpenAIChat):
    def call(self, verb: str, argument: str) -> Call:
        return Call("terminal", {"command": argument}) if verb == "run" else super().call(verb, argument)


class TestHermes(AdapterClaims):
    def test_tools_work_in_the_folder_of_the_workspace(self, workspace: Workspace) -> None:
        (workspace.folder / "work" / "plan.txt").write_text("the plan")
        assert "the plan" in reply(workspace.say("run cat plan.txt"))

    def test_a_conversation_that_is_damaged_is_kept_aside(self, workspace: Workspace) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        files = workspace.folder / "configs" / "hermes" / "conversations"
        newest = max(files.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        newest.write_text("{")
        assert reply(workspace.say("recite", context)) == "remember turquoise", (
            "the runtime remembers it, too"
        )
        assert f"{newest} is unusable" in workspace.log
        assert len(list(files.glob(f"{newest.name}.unusable-*"))) == 1
