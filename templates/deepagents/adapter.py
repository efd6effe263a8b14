"""Runs turns on Deep Agents: a model that plans, delegates to subagents and works on files, in a conversation that stays."""

from collections.abc import AsyncIterator
from typing import Any

from langchain_turns import Checkpoints, Settings, as_langchain, chat_model, words
from langgraph.graph.state import CompiledStateGraph
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.settings import work_folder

from deepagents import create_deep_agent
from deepagents.backends import FilesystemBackend

STATE_FILE = "deepagents.sqlite"
MODEL_NODE = "model"


class DeepAgentsAdapter(BaseAdapter):
    """One graph for all conversations; each is a thread of its checkpointer."""

    name = "deepagents"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self._settings = Settings(config)
        self._checkpoints = Checkpoints(config.config_folder / STATE_FILE)
        self._graph: CompiledStateGraph[Any, Any, Any, Any] | None = None

    async def setup(self) -> None:
        """Open the conversations of earlier processes."""
        self._folder = work_folder(self.config)
        await self._checkpoints.open()

    def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        return words(self._compiled(), turn, node=MODEL_NODE, max_steps=self._settings.max_steps)

    async def shutdown(self) -> None:
        """Close the conversations."""
        await self._checkpoints.close()

    def _compiled(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Return the graph, made with the first turn: a workspace without a key starts and says what it lacks."""
        if self._graph is None:
            self._graph = create_deep_agent(
                chat_model(self._settings),
                [as_langchain(tool) for tool in self.config.tools],
                system_prompt=self._settings.prompt,
                backend=FilesystemBackend(root_dir=self._folder, virtual_mode=True),
                checkpointer=self._checkpoints.saver,
            )
        return self._graph


Adapter = DeepAgentsAdapter
