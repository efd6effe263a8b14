"""Runs turns on Hermes Agent: its own tools in the workspace's folder, and the tools of the runtime beside them."""

import asyncio
import contextvars
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

# Before the imports that read them. Nobody is there to approve a command, and the container is the sandbox.
os.environ.setdefault("HERMES_YOLO_MODE", "true")
os.environ.setdefault(
    "HERMES_HOME", str(Path(os.environ.get("WORKSPACE_CONFIG_PATH") or "/configs") / "hermes")
)

from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.conversation_files import ConversationFiles
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, number, system_prompt, work_folder
from molecule_runtime.adapters.speech import Speech
from molecule_runtime.builtin_tools import Tool
from run_agent import AIAgent
from tools.registry import registry

STATE_FOLDER = "hermes"
ENDPOINT = ModelEndpoint(key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL")
DEFAULT_MODEL = "gpt-5-mini"
DEFAULT_URL = "https://api.openai.com/v1"
DEFAULT_MAX_STEPS = 90
DEFAULT_TOOLSETS = ("terminal", "file", "skills", "todo", "memory")
OURS = "workspace"
"""The toolset with what the runtime gives every agent."""
MAX_THREADS = 256
_STATUS = re.compile(r"HTTP (\d{3})")

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class HermesAdapter(BaseAdapter):
    """One agent per turn, in a thread; each conversation has its messages in a file."""

    name = "hermes"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._model = model_name(config, DEFAULT_MODEL, provider="openai")
        self._max_steps = int(number(config, "max_steps", 1, 1000) or DEFAULT_MAX_STEPS)
        self._conversations = ConversationFiles(config.config_folder / STATE_FOLDER / "conversations")
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="hermes")

    async def setup(self) -> None:
        """Make the folders of its state, and offer it the tools of the runtime."""
        os.environ["TERMINAL_CWD"] = str(work_folder(self.config))
        self._conversations.open()
        for tool in self.config.tools:
            registry.register(tool.name, OURS, _schema(tool), _handler(tool))

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        earlier = self._conversations.read(turn.context_id).get("messages") or _told(turn)
        speech = Speech()
        # None is between two messages of the agent.
        agent = self._agent(turn, lambda piece: speech.say("\n\n" if piece is None else piece))
        run = contextvars.copy_context().run
        work = asyncio.wrap_future(
            self._threads.submit(run, agent.run_conversation, turn.text, conversation_history=earlier)
        )
        spoke = False
        try:
            async with aclosing(speech.during(work)) as words:
                async for piece in words:
                    # What begins a message is parted from one before it, and before the first there is none.
                    if text := piece if spoke else piece.lstrip("\n"):
                        spoke = True
                        yield text
        except BaseException:
            agent.interrupt()
            raise
        result = work.result()
        self._judge(result)
        if not spoke:
            yield str(result["final_response"])
        self._conversations.write(turn.context_id, {"messages": result["messages"]})

    async def shutdown(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _agent(self, turn: Turn, hear: Callable[[str | None], None]) -> "AgentOfOneTurn":
        return AgentOfOneTurn(
            base_url=ENDPOINT.url() or DEFAULT_URL,
            api_key=ENDPOINT.key(),
            provider="custom",
            api_mode="chat_completions",
            model=self._model,
            max_iterations=self._max_steps,
            enabled_toolsets=[OURS, *self.config.runtime_config.get("toolsets", DEFAULT_TOOLSETS)],
            quiet_mode=True,
            ephemeral_system_prompt=system_prompt(self.config),
            session_id=turn.context_id,
            platform="api_server",
            stream_delta_callback=hear,
        )

    def _judge(self, result: Mapping[str, Any]) -> None:
        """Tell what the owner must change from what failed on the way."""
        if not result.get("failed"):
            return
        said = str(result.get("error") or result.get("final_response") or "it does not say why")
        status = _STATUS.search(said)
        if fault := ENDPOINT.fault(int(status[1]) if status else None):
            raise fault
        raise RuntimeError(f"Hermes Agent gave up: {said}")


class AgentOfOneTurn(AIAgent):
    """Once interrupted it stays so.

    Hermes forgets an interruption when its loop has ended, which may be before the thread that reads the model's words has
    noticed: that one would read on, and keep the model at work.
    """

    def clear_interrupt(self) -> None:
        """Forget nothing."""


def _schema(tool: Tool) -> Message:
    return {"name": tool.name, "description": tool.description, "parameters": tool.schema()}


def _handler(tool: Tool) -> Callable[..., str]:
    def run(arguments: Mapping[str, str], **_: object) -> str:
        return json.dumps({"result": tool.run(**arguments)}, ensure_ascii=False)

    return run


def _told(turn: Turn) -> list[Message]:
    """Tell a conversation that this adapter does not know as the runtime remembers it."""
    return [
        message
        for exchange in turn.history
        for message in (
            {"role": "user", "content": exchange.user},
            {"role": "assistant", "content": exchange.agent},
        )
    ]


Adapter = HermesAdapter
