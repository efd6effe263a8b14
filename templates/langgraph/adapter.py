"""Runs turns on LangGraph: a chat model that may call tools, in a conversation that outlives the process."""

import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.utils import trim_messages
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import AdapterConfigurationError, Turn
from molecule_runtime.builtin_tools import Tool
from openai import AuthenticationError, NotFoundError, PermissionDeniedError

STATE_FILE = "langgraph.sqlite"
KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_MODEL = "gpt-5-mini"
DEFAULT_MAX_STEPS = 50
MAX_MESSAGES = 200
"""How much of a conversation the model is shown; older messages stay in the state file."""
SILENCE_SECONDS = 900
"""How long the model may say nothing; long thoughts and slow tools of an endpoint are silent for minutes."""
AGENT, TOOLS = "agent", "tools"

logger = logging.getLogger(__name__)


class LangGraphAdapter(BaseAdapter):
    """One graph for all conversations; each is a thread of its checkpointer."""

    name = "langgraph"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._settings = Settings(config)
        self._resources = AsyncExitStack()
        self._checkpoints: BaseCheckpointSaver[str] | None = None
        self._graph: CompiledStateGraph[MessagesState] | None = None

    async def setup(self) -> None:
        """Open the conversations of earlier processes."""
        path = self.config.config_folder / STATE_FILE
        try:
            self._checkpoints = await self._open(path)
        except sqlite3.OperationalError as error:
            raise AdapterConfigurationError(
                f"{path} cannot be opened: {error}; let this user write to its folder"
            ) from error
        except sqlite3.DatabaseError as error:
            aside = path.with_name(f"{path.name}.unusable-{int(time.time())}")
            path.rename(aside)
            logger.warning(
                "Starting without earlier conversations: %s is unusable (%s), kept as %s",
                path,
                error,
                aside.name,
            )
            self._checkpoints = await self._open(path)

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        graph = self._compiled()
        thread: RunnableConfig = {
            "configurable": {"thread_id": turn.context_id},
            "recursion_limit": self._settings.max_steps,
        }
        earlier: Sequence[AnyMessage] = (await graph.aget_state(thread)).values.get("messages", [])
        messages = [*(_unanswered(earlier) if earlier else _told(turn)), HumanMessage(turn.text)]
        speaking = ""
        stream = cast(
            "AsyncGenerator[tuple[BaseMessage, dict[str, Any]], None]",
            graph.astream({"messages": messages}, thread, stream_mode="messages"),
        )
        with _blaming_configuration():
            async with aclosing(stream):
                async for chunk, about in stream:
                    if about["langgraph_node"] != AGENT or not chunk.text:
                        continue
                    if speaking not in {"", chunk.id}:
                        yield "\n\n"
                    speaking = chunk.id or ""
                    yield chunk.text

    async def shutdown(self) -> None:
        """Close the conversations."""
        await self._resources.aclose()

    async def _open(self, path: Path) -> AsyncSqliteSaver:
        async with AsyncExitStack() as opening:
            saver = await opening.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
            await saver.setup()
            self._resources = opening.pop_all()
        return saver

    def _compiled(self) -> CompiledStateGraph[MessagesState]:
        """Return the graph, made with the first turn: a workspace without a key starts and says what it lacks."""
        if self._graph is None:
            self._graph = build_graph(self._settings, self.config.tools, self._checkpoints)
        return self._graph


class Settings:
    """What config.yaml says of the model, checked.

    Raises:
        AdapterConfigurationError: a key has a value that cannot be used; the text names it and the cure.
    """

    def __init__(self, config: AdapterConfig) -> None:
        given = config.runtime_config
        model = given.get("model") or config.model or DEFAULT_MODEL
        provider, _, name = str(model).rpartition(":")
        if provider not in {"", "openai"}:
            raise AdapterConfigurationError(
                f"model is {model!r}, and this template speaks to OpenAI-compatible endpoints only; "
                "write the name that the endpoint knows"
            )
        self.model = name
        self.temperature = _number(given, "temperature", 0, 2)
        self.max_steps = int(_number(given, "max_steps", 1, 1000) or DEFAULT_MAX_STEPS)
        prompt = given.get("system_prompt")
        self.prompt = str(prompt) if prompt else f"You are {config.name}. {config.description}"


def build_graph(
    settings: Settings, tools: Sequence[Tool], checkpoints: BaseCheckpointSaver[str] | None
) -> CompiledStateGraph[MessagesState]:
    """Return the loop of an agent: the model answers or calls tools, tools report to the model.

    Raises:
        AdapterConfigurationError: there is no key for the model.
    """
    if not os.environ.get(KEY_VARIABLE):
        raise AdapterConfigurationError(
            f"{KEY_VARIABLE} is not set; set it to a key of the model endpoint and restart"
        )
    offered = [_as_langchain(tool) for tool in tools]
    model = ChatOpenAI(
        model=settings.model,
        temperature=settings.temperature,
        base_url=os.environ.get(URL_VARIABLE) or None,
        timeout=SILENCE_SECONDS,
        stream_chunk_timeout=SILENCE_SECONDS,
    ).bind_tools(offered)
    system = SystemMessage(settings.prompt)

    async def agent(state: MessagesState) -> dict[str, list[AIMessage]]:
        recent = trim_messages(
            state["messages"], strategy="last", token_counter=len, max_tokens=MAX_MESSAGES, start_on="human"
        )
        return {"messages": [await model.ainvoke([system, *recent])]}

    graph = StateGraph(MessagesState)
    graph.add_node(AGENT, agent)
    # A tool that fails tells the model so; the model may try something else.
    graph.add_node(TOOLS, ToolNode(offered, handle_tool_errors=True))
    graph.add_edge(START, AGENT)
    graph.add_conditional_edges(AGENT, tools_condition)
    graph.add_edge(TOOLS, AGENT)
    return graph.compile(checkpointer=checkpoints)


def _as_langchain(tool: Tool) -> StructuredTool:
    return StructuredTool.from_function(
        tool.run, name=tool.name, description=tool.description, args_schema=tool.schema(), infer_schema=False
    )


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


@contextmanager
def _blaming_configuration() -> Iterator[None]:
    """Tell what the owner must change from what failed on the way."""
    endpoint = os.environ.get(URL_VARIABLE) or "the model endpoint"
    try:
        yield
    except (AuthenticationError, PermissionDeniedError) as error:
        raise AdapterConfigurationError(
            f"{endpoint} refused the key in {KEY_VARIABLE} with HTTP {error.status_code}; "
            "put a key there that is valid for the model, and restart"
        ) from error
    except NotFoundError as error:
        raise AdapterConfigurationError(
            f"{endpoint} answered HTTP 404; correct {URL_VARIABLE}, or the model's name in config.yaml"
        ) from error


def _number(given: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise AdapterConfigurationError(
            f"runtime_config.{key} is {value!r}; write a number from {low:g} to {high:g}"
        )
    return float(value)


Adapter = LangGraphAdapter
