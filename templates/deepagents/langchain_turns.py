"""What every adapter on LangGraph needs: a chat model, conversations in a file, and the words of a turn as they come."""

import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph.state import CompiledStateGraph
from molecule_runtime.adapters import AdapterConfig
from molecule_runtime.adapters.base import AdapterConfigurationError, Turn
from molecule_runtime.adapters.conversation_files import set_aside
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, number, system_prompt
from molecule_runtime.builtin_tools import Tool

ENDPOINT = ModelEndpoint(key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL")
DEFAULT_MODEL = "gpt-5-mini"
DEFAULT_MAX_STEPS = 50
SILENCE_SECONDS = 900
"""How long the model may say nothing; long thoughts and slow tools of an endpoint are silent for minutes."""

os.environ.setdefault("LANGSMITH_TRACING", "false")


class Settings:
    """What config.yaml says of the model, checked.

    Raises:
        AdapterConfigurationError: a key has a value that cannot be used; the text names it and the cure.
    """

    def __init__(self, config: AdapterConfig) -> None:
        self.model = model_name(config, DEFAULT_MODEL, provider="openai")
        self.temperature = number(config, "temperature", 0, 2)
        self.max_steps = int(number(config, "max_steps", 1, 1000) or DEFAULT_MAX_STEPS)
        self.prompt = system_prompt(config)


class Checkpoints:
    """Conversations of this and earlier processes, in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._resources = AsyncExitStack()
        self.saver: BaseCheckpointSaver[str] | None = None

    async def open(self) -> None:
        """Open the file; one that is damaged is kept aside.

        Raises:
            AdapterConfigurationError: it cannot be opened.
        """
        try:
            self.saver = await self._opened()
        except sqlite3.OperationalError as error:
            raise AdapterConfigurationError(
                f"{self._path} cannot be opened: {error}; let this user write to its folder"
            ) from error
        except sqlite3.DatabaseError as error:
            set_aside(self._path, error)
            self.saver = await self._opened()

    async def close(self) -> None:
        """Close the file."""
        await self._resources.aclose()

    async def _opened(self) -> AsyncSqliteSaver:
        async with AsyncExitStack() as opening:
            saver = await opening.enter_async_context(AsyncSqliteSaver.from_conn_string(str(self._path)))
            await saver.setup()
            self._resources = opening.pop_all()
        return saver


def chat_model(settings: Settings) -> ChatOpenAI:
    """Return the model.

    Raises:
        AdapterConfigurationError: there is no key for it.
    """
    ENDPOINT.key()
    return ChatOpenAI(
        model=settings.model,
        temperature=settings.temperature,
        base_url=ENDPOINT.url(),
        timeout=SILENCE_SECONDS,
        stream_chunk_timeout=SILENCE_SECONDS,
    )


def as_langchain(tool: Tool) -> StructuredTool:
    """Return a tool of the runtime as LangChain offers it to a model."""
    return StructuredTool.from_function(
        tool.run, name=tool.name, description=tool.description, args_schema=tool.schema(), infer_schema=False
    )


async def words(
    graph: CompiledStateGraph[Any, Any, Any, Any], turn: Turn, *, node: str, max_steps: int
) -> AsyncIterator[str]:
    """Run one turn and yield what the model says in `node`, as it comes."""
    thread: RunnableConfig = {"configurable": {"thread_id": turn.context_id}, "recursion_limit": max_steps}
    earlier: Sequence[AnyMessage] = (await graph.aget_state(thread)).values.get("messages", [])
    messages = [*(_unanswered(earlier) if earlier else _told(turn)), HumanMessage(turn.text)]
    speaking = ""
    stream = cast(
        "AsyncGenerator[tuple[BaseMessage, dict[str, Any]], None]",
        graph.astream({"messages": messages}, thread, stream_mode="messages"),
    )
    with ENDPOINT.blamed():
        async with aclosing(stream):
            async for chunk, about in stream:
                if about["langgraph_node"] != node or about.get("lc_source") or not chunk.text:
                    continue
                if speaking not in {"", chunk.id}:
                    yield "\n\n"
                speaking = chunk.id or ""
                yield chunk.text


def _told(turn: Turn) -> Iterator[AnyMessage]:
    """Tell a conversation that this adapter does not know as the runtime remembers it."""
    for exchange in turn.history:
        yield HumanMessage(exchange.user)
        yield AIMessage(exchange.agent)


def _unanswered(messages: Sequence[AnyMessage]) -> Iterator[AnyMessage]:
    """Answer the tool calls that a cancelled turn left open: endpoints refuse a conversation with such a gap."""
    last = messages[-1]
    for call in last.tool_calls if isinstance(last, AIMessage) else []:
        yield ToolMessage(
            "This call was cancelled; it may have been carried out or not", tool_call_id=call["id"]
        )
