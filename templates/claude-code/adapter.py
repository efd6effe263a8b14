"""Runs turns on Claude Code by its Agent SDK: one run of its program per turn, in the workspace's folder, with its own tools."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    Message,
    ResultMessage,
    SdkMcpTool,
    StreamEvent,
    SystemMessage,
    create_sdk_mcp_server,
)
from claude_agent_sdk.types import McpSdkServerConfig
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import AdapterConfigurationError, Turn
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, number, work_folder
from molecule_runtime.builtin_tools import Tool

ENDPOINT = ModelEndpoint(key_variable="ANTHROPIC_API_KEY", url_variable="ANTHROPIC_BASE_URL")
STATE_FOLDER = "claude"
DEFAULT_MODEL = "claude-sonnet-4-5"
INTERRUPT_SECONDS = 2.0
OURS = "molecule"
"""The MCP server with what the runtime gives every agent."""


class ClaudeCodeAdapter(BaseAdapter):
    """Each conversation is a session of Claude Code, kept in the config folder."""

    name = "claude-code"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._model = model_name(config, DEFAULT_MODEL)
        turns = number(config, "max_steps", 1, 1000)
        self._max_steps = None if turns is None else int(turns)
        self._state = config.config_folder / STATE_FOLDER

    async def setup(self) -> None:
        """Make the folder of sessions."""
        self._folder = work_folder(self.config)
        try:
            self._state.mkdir(exist_ok=True)
        except OSError as error:
            raise AdapterConfigurationError(
                f"{self._state} cannot be made: {error}; let this user write to its folder"
            ) from error

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        ENDPOINT.key()
        complaints: list[str] = []
        async with ClaudeSDKClient(self._options(turn, complaints)) as client:
            await client.query(self._prompt(turn))
            async with _interrupted_unless_ended(client), aclosing(_messages(client)) as messages:
                async for piece in self._words(messages, complaints):
                    yield piece

    async def _words(self, messages: AsyncIterator[Message], complaints: list[str]) -> AsyncIterator[str]:
        begins = spoke = False
        async for message in messages:
            match message:
                case StreamEvent(parent_tool_use_id=None, event=event):
                    if event["type"] == "message_start":
                        begins = spoke
                    elif text := _text(event):
                        yield f"\n\n{text}" if begins else text
                        begins, spoke = False, True
                case SystemMessage(subtype="api_retry", data=data):
                    # It would go on for minutes with what only the owner can change.
                    if fault := ENDPOINT.fault(data.get("error_status")):
                        raise fault
                case ResultMessage():
                    self._judge(message, complaints)

    def _options(self, turn: Turn, complaints: list[str]) -> ClaudeAgentOptions:
        session = self._session(turn)
        known = self._known(session)
        prompt = self.config.runtime_config.get("system_prompt") or self.config.description
        return ClaudeAgentOptions(
            model=self._model,
            cwd=self._folder,
            resume=session if known else None,
            session_id=None if known else session,
            max_turns=self._max_steps,
            permission_mode="bypassPermissions",
            include_partial_messages=True,
            system_prompt={"type": "preset", "preset": "claude_code", "append": str(prompt)},
            setting_sources=["project"],
            mcp_servers={OURS: _server(self.config.tools)},
            stderr=complaints.append,
            env={
                "CLAUDE_CONFIG_DIR": str(self._state),
                # Nobody is there to approve a tool, and the container is the sandbox.
                "IS_SANDBOX": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "ENABLE_TOOL_SEARCH": "false",
            },
        )

    def _session(self, turn: Turn) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, turn.context_id))

    def _known(self, session: str) -> bool:
        return any((self._state / "projects").glob(f"*/{session}.jsonl"))

    def _prompt(self, turn: Turn) -> str:
        """Tell a conversation that has no session as the runtime remembers it."""
        if not turn.history or self._known(self._session(turn)):
            return turn.text
        said = "\n".join(f"User: {each.user}\nYou: {each.agent}" for each in turn.history)
        return f"<earlier-in-this-conversation>\n{said}\n</earlier-in-this-conversation>\n\n{turn.text}"

    def _judge(self, result: ResultMessage, complaints: list[str]) -> None:
        """Tell what the owner must change from what failed on the way."""
        if not result.is_error:
            return
        if fault := ENDPOINT.fault(result.api_error_status):
            raise fault
        said = result.result or "; ".join(result.errors or complaints[-3:]) or result.subtype
        raise RuntimeError(f"Claude Code ended its turn with an error: {said}")


async def _messages(client: ClaudeSDKClient) -> AsyncGenerator[Message, None]:
    async for message in client.receive_response():
        yield message


@asynccontextmanager
async def _interrupted_unless_ended(client: ClaudeSDKClient) -> AsyncIterator[None]:
    """Tell the program to stop what it does: without that it is given seconds to come to an end by itself."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            async with asyncio.timeout(INTERRUPT_SECONDS):
                await client.interrupt()
        raise


def _text(event: dict[str, Any]) -> str:
    delta = event.get("delta") or {}
    return str(delta.get("text") or "") if delta.get("type") == "text_delta" else ""


def _server(tools: tuple[Tool, ...]) -> McpSdkServerConfig:
    return create_sdk_mcp_server(OURS, tools=[_offered(tool) for tool in tools])


def _offered(tool: Tool) -> SdkMcpTool[Any]:
    async def run(arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            said, failed = await asyncio.to_thread(tool.run, **arguments), False
        except Exception as error:  # noqa: BLE001 -- whatever it is, the model is told, and may try something else
            said, failed = f"{type(error).__name__}: {error}", True
        return {"content": [{"type": "text", "text": said}], "is_error": failed}

    return SdkMcpTool(tool.name, tool.description, tool.schema(), run)


Adapter = ClaudeCodeAdapter
