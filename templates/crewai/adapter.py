"""Runs turns on CrewAI: one agent with tools for each turn, told what was said and done before."""

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any

# Before the import that reads them: nothing of a workspace goes to anybody who was not named.
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

from crewai_model import InterruptibleModel
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.conversation_files import ConversationFiles
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, number, system_prompt
from molecule_runtime.adapters.speech import Speech
from molecule_runtime.builtin_tools import Tool
from pydantic import Field, PrivateAttr, create_model

from crewai import Agent
from crewai.events import LLMStreamChunkEvent, crewai_event_bus
from crewai.tools import BaseTool

ENDPOINT = ModelEndpoint(key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL")
STATE_FOLDER = "crewai"
DEFAULT_MODEL = "gpt-5-mini"
DEFAULT_MAX_STEPS = 25
MAX_MESSAGES = 200
"""How much of a conversation the model is shown again."""
MAX_THREADS = 256
SILENCE_SECONDS = 900
"""How long the model may say nothing; long thoughts and slow tools of an endpoint are silent for minutes."""

Message = dict[str, Any]


class CrewAIAdapter(BaseAdapter):
    """One agent per turn; CrewAI works in a thread, and its model on the workspace's own event loop."""

    name = "crewai"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._model = model_name(config, DEFAULT_MODEL, provider="openai")
        self._temperature = number(config, "temperature", 0, 2)
        self._max_steps = int(number(config, "max_steps", 1, 1000) or DEFAULT_MAX_STEPS)
        self._conversations = ConversationFiles(config.config_folder / STATE_FOLDER)
        # Of its own: each turn holds a thread while its model, which needs the loop's threads, is asked.
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="crewai")
        self._listening = ExitStack()

    async def setup(self) -> None:
        """Make the folder of conversations, and listen to what models say."""
        self._conversations.open()
        # CrewAI's own listeners print what endpoints say, keys included, and keep all that models ever said.
        self._listening.enter_context(crewai_event_bus.scoped_handlers())
        crewai_event_bus.register_handler(LLMStreamChunkEvent, _hear)

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        earlier = self._conversations.read(turn.context_id).get("messages") or _told(turn)
        request = {"role": "user", "content": turn.text}
        speech = Speech()
        model = self._connected(speech)
        agent = self._agent(model)
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        work = loop.run_in_executor(self._threads, context.run, agent.kickoff, [*earlier, request])
        try:
            with ENDPOINT.blamed():
                async with aclosing(speech.during(work)) as words:
                    async for piece in words:
                        yield piece
        finally:
            model.interrupt()
        output = work.result()
        # Of what was sent the first message is the system's, and the request has CrewAI's own words around it.
        added = [request, *output.messages[len(earlier) + 2 :]]
        self._conversations.write(turn.context_id, {"messages": _latest([*earlier, *added])})

    async def shutdown(self) -> None:
        """Let go of the threads."""
        self._listening.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _agent(self, model: InterruptibleModel) -> Agent:
        return Agent(
            role=self.config.role or self.config.name,
            goal=self.config.description or "Do what the user asks for",
            backstory=system_prompt(self.config),
            llm=model,
            tools=[OfferedTool.of(tool) for tool in self.config.tools],
            max_iter=self._max_steps,
            verbose=False,
        )

    def _connected(self, speech: Speech) -> InterruptibleModel:
        model = InterruptibleModel(
            model=self._model,
            api_key=ENDPOINT.key(),
            base_url=ENDPOINT.url(),
            temperature=self._temperature,
            timeout=SILENCE_SECONDS,
            stream=True,
        )
        model.attach(asyncio.get_running_loop(), speech)
        return model


class OfferedTool(BaseTool):
    """A tool of the runtime as CrewAI offers it to a model."""

    _tool: Tool = PrivateAttr()

    @classmethod
    def of(cls, tool: Tool) -> "OfferedTool":
        """Return `tool` as CrewAI knows one."""
        fields: dict[str, Any] = {
            name: (str, Field(description=meaning)) for name, meaning in tool.parameters.items()
        }
        schema = create_model(f"{tool.name}_arguments", **fields)
        offered = cls(name=tool.name, description=tool.description, args_schema=schema)
        offered._tool = tool
        return offered

    def _run(self, **arguments: str) -> str:
        return self._tool.run(**arguments)


def _hear(source: object, event: LLMStreamChunkEvent) -> None:
    if isinstance(source, InterruptibleModel) and event.tool_call is None:
        source.hear(event.chunk, event.call_id)


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


def _latest(messages: Sequence[Message]) -> list[Message]:
    """Return the newest whole turns."""
    kept = list(messages)[-MAX_MESSAGES:]
    while kept and kept[0]["role"] != "user":
        del kept[0]
    return kept


Adapter = CrewAIAdapter
