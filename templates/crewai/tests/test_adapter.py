"""The adapter on its framework, as a workspace runs it."""

from molecule_runtime.adapter_testing.claims import AdapterClaims
from molecule_runtime.adapter_testing.openai_chat import OpenAIChat
from molecule_runtime.adapter_testing.process import Workspace, reply

SETTINGS = ""


class ENDPOINT(OpenAIChat):
    def heard(self, text: str) -> str:
        """Return a message without the words that CrewAI has around a request."""
        return text.strip().removeprefix("Current Task: ").partition("\n")[0]


class TestCrewAI(AdapterClaims):
    def test_a_conversation_that_is_damaged_is_kept_aside(self, workspace: Workspace) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        files = workspace.folder / "configs" / "crewai"
        newest = max(files.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        newest.write_text("{")
        assert reply(workspace.say("recite", context)) == "remember turquoise", (
            "the runtime remembers it, too"
        )
        assert f"{newest} is unusable" in workspace.log
        assert len(list(files.glob(f"{newest.name}.unusable-*"))) == 1

    def test_a_tool_that_fails_tells_the_model(self, workspace: Workspace) -> None:
        memory = workspace.folder / "configs" / "memory.jsonl"
        memory.unlink(missing_ok=True)
        memory.mkdir()
        try:
            assert "Is a directory" in reply(workspace.say("remember turquoise"))
        finally:
            memory.rmdir()
