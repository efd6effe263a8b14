"""The adapter on its framework, as a workspace runs it."""

import pytest
from molecule_runtime.adapter_testing.claims import AdapterClaims
from molecule_runtime.adapter_testing.openai_chat import OpenAIChat
from molecule_runtime.adapter_testing.process import Workspace, reply

ENDPOINT = OpenAIChat
SETTINGS = ""


class TestAutoGen(AdapterClaims):
    @pytest.mark.parametrize("content", ["{", '{"llm_context": {"messages": 3}}'])
    def test_a_conversation_that_is_damaged_is_kept_aside(self, workspace: Workspace, content: str) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        files = workspace.folder / "configs" / "autogen"
        newest = max(files.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        newest.write_text(content)
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
