"""Runs turns on LangGraph: a chat model that may call tools, in a conversation that outlives the process."""

from collections.abc import AsyncIterator, Sequence

from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.messages.utils import trim_messages
from langchain_turns import Checkpoints, Settings, as_langchain, chat_model, words
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.builtin_tools import Tool

STATE_FILE = "langgraph.sqlite"
MAX_MESSAGES = 200
"""How much of a conversation the model is shown; older messages stay in the state file."""
AGENT, TOOLS = "agent", "tools"


class LangGraphAdapter(BaseAdapter):
    """One graph for all conversations; each is a thread of its checkpointer."""

    name = "langgraph"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._settings = Settings(config)
        self._checkpoints = Checkpoints(config.config_folder / STATE_FILE)
        self._graph: CompiledStateGraph[MessagesState] | None = None

    async def setup(self) -> None:
        """Open the conversations of earlier processes."""
        await self._checkpoints.open()

    def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        return words(self._compiled(), turn, node=AGENT, max_steps=self._settings.max_steps)

    async def shutdown(self) -> None:
        """Close the conversations."""
        await self._checkpoints.close()

    def _compiled(self) -> CompiledStateGraph[MessagesState]:
        """Return the graph, made with the first turn: a workspace without a key starts and says what it lacks."""
        if self._graph is None:
            self._graph = build_graph(self._settings, self.config.tools, self._checkpoints.saver)
        return self._graph


def build_graph(
    settings: Settings, tools: Sequence[Tool], checkpoints: BaseCheckpointSaver[str] | None
) -> CompiledStateGraph[MessagesState]:
    """Return the loop of an agent: the model answers or calls tools, tools report to the model.

    Raises:
        AdapterConfigurationError: there is no key for the model.
    """
    offered = [as_langchain(tool) for tool in tools]
    model = chat_model(settings).bind_tools(offered)
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


Adapter = LangGraphAdapter
