"""Runs turns on AutoGen: an assistant that may call tools, made anew for each turn from what it remembers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, TextMessage
from autogen_core import CancellationToken
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import AssistantMessage, LLMMessage, ModelFamily, ModelInfo, UserMessage
from autogen_core.tools import BaseTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.conversation_files import ConversationFiles
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, number, system_prompt
from molecule_runtime.adapters.speech import Speech
from molecule_runtime.builtin_tools import Tool
from pydantic import BaseModel, Field, create_model

ENDPOINT = ModelEndpoint(key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL")
STATE_FOLDER = "autogen"
DEFAULT_MODEL = "gpt-5-mini"
DEFAULT_MAX_STEPS = 25
MAX_MESSAGES = 200
"""How much of a conversation the model is shown; older messages stay in the state file."""
SILENCE_SECONDS = 900
"""How long the model may say nothing; long thoughts and slow tools of an endpoint are silent for minutes."""
AGENT, USER = "agent", "user"

# It notes every message of every conversation there; those are not for whoever reads the log.
logging.getLogger("autogen_core.events").setLevel(logging.WARNING)
CAN = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=False,
    family=ModelFamily.UNKNOWN,
    structured_output=False,
    multiple_system_messages=False,
)
"""What any endpoint can do; AutoGen refuses models that it does not know unless it is told."""


class AutoGenAdapter(BaseAdapter):
    """One agent per turn; each conversation has its state in a file."""

    name = "autogen"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._model = model_name(config, DEFAULT_MODEL, provider="openai")
        self._temperature = number(config, "temperature", 0, 2)
        self._max_steps = int(number(config, "max_steps", 1, 1000) or DEFAULT_MAX_STEPS)
        self._conversations = ConversationFiles(config.config_folder / STATE_FOLDER)
        self._tools = [OfferedTool(tool) for tool in config.tools]

    async def setup(self) -> None:
        """Make the folder of conversations."""
        self._conversations.open()

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        speech = Speech()
        work = asyncio.create_task(self._work(turn, speech))
        async with aclosing(speech.during(work)) as words:
            async for piece in words:
                yield piece

    async def _work(self, turn: Turn, speech: Speech) -> None:
        # One for each turn: whatever is under way when a turn is cancelled ends with it, at once.
        async with _closing(self._connected()) as client:
            await self._ask(await self._agent(turn, client), turn, speech)

    async def _ask(self, agent: AssistantAgent, turn: Turn, speech: Speech) -> None:
        begins = said = False
        message = TextMessage(content=turn.text, source=USER)
        with ENDPOINT.blamed():
            async for event in agent.on_messages_stream([message], CancellationToken()):
                if isinstance(event, ModelClientStreamingChunkEvent):
                    if event.content:
                        speech.say(f"\n\n{event.content}" if begins and said else event.content)
                        begins, said = False, True
                elif not isinstance(event, Response):
                    begins = True
        self._conversations.write(turn.context_id, dict(await agent.save_state()))

    async def _agent(self, turn: Turn, client: OpenAIChatCompletionClient) -> AssistantAgent:
        """Return an agent that knows this conversation."""
        state = self._conversations.read(turn.context_id)
        agent = self._made(turn, client)
        if state:
            try:
                await agent.load_state(state)
            except (ValueError, TypeError, KeyError) as error:
                self._conversations.set_aside(turn.context_id, error)
                agent = self._made(turn, client)
        return agent

    def _made(self, turn: Turn, client: OpenAIChatCompletionClient) -> AssistantAgent:
        """Return one that knows what the runtime remembers."""
        return AssistantAgent(
            AGENT,
            client,
            tools=list(self._tools),
            model_context=BufferedChatCompletionContext(MAX_MESSAGES, _told(turn)),
            system_message=system_prompt(self.config),
            model_client_stream=True,
            max_tool_iterations=self._max_steps,
        )

    def _connected(self) -> OpenAIChatCompletionClient:
        given: dict[str, Any] = {"model": self._model, "api_key": ENDPOINT.key(), "timeout": SILENCE_SECONDS}
        if self._temperature is not None:
            given["temperature"] = self._temperature
        if url := ENDPOINT.url():
            given["base_url"] = url
        return OpenAIChatCompletionClient(**given, model_info=CAN)


@asynccontextmanager
async def _closing(client: OpenAIChatCompletionClient) -> AsyncIterator[OpenAIChatCompletionClient]:
    try:
        yield client
    finally:
        await client.close()


class OfferedTool(BaseTool[BaseModel, str]):
    """A tool of the runtime as AutoGen offers it to a model."""

    def __init__(self, tool: Tool) -> None:
        fields: dict[str, Any] = {
            name: (str, Field(description=meaning)) for name, meaning in tool.parameters.items()
        }
        super().__init__(create_model(f"{tool.name}_arguments", **fields), str, tool.name, tool.description)
        self._tool = tool

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> str:
        """Run it in a thread; a tool may block."""
        del cancellation_token
        return await asyncio.to_thread(self._tool.run, **args.model_dump())


def _told(turn: Turn) -> list[LLMMessage]:
    """Tell a conversation that this adapter does not know as the runtime remembers it."""
    messages: list[LLMMessage] = []
    for exchange in turn.history:
        messages += [
            UserMessage(content=exchange.user, source=USER),
            AssistantMessage(content=exchange.agent, source=AGENT),
        ]
    return messages


Adapter = AutoGenAdapter
