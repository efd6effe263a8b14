"""What an adapter is given and what it must do: the whole interface between the runtime and a framework."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from builtin_tools import Tool


class AdapterConfigurationError(Exception):
    """The owner of the workspace must change something, for example a model key.

    Raised by an adapter from `setup` or a turn, it is reported as a configuration error: nobody rolls a
    healthy image back because of it.
    """


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What config.yaml says that concerns the framework.

    Attributes:
        runtime_config: section `runtime_config` of config.yaml, unchecked.
        config_folder: where the adapter may keep state of its own that survives a replacement.
        skills: names of the skills whose folders are under `config_folder`/skills.
        tools: what the runtime gives every agent; an adapter offers them to its model.
    """

    name: str
    description: str
    role: str | None
    model: str | None
    runtime_config: Mapping[str, Any]
    config_folder: Path
    skills: tuple[str, ...]
    tools: tuple[Tool, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One finished turn of a conversation: what was said and what was answered."""

    user: str
    agent: str


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message to answer.

    Attributes:
        history: the finished turns of this conversation, oldest first, also those of an earlier process.
    """

    task_id: str
    context_id: str
    text: str
    history: tuple[Exchange, ...]


class BaseAdapter(ABC):
    """Runs turns on one agent framework.

    Turns of different conversations run concurrently on one event loop; turns of one conversation never do.
    Work that blocks belongs into a thread.
    """

    name: ClassVar[str]

    def __init__(self, config: AdapterConfig) -> None:
        self.config = config
        #: Set it to say that this process cannot answer any more and must be replaced.
        self.wedged_reason: str | None = None

    async def setup(self) -> None:  # noqa: B027 - a hook, not an obligation
        """Prepare for the first turn. The workspace takes work when this returns.

        Raises:
            AdapterConfigurationError: the owner must change something before any turn can work.
        """

    @abstractmethod
    def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, chunk by chunk; usually an async generator.

        It ends with `asyncio.CancelledError` when the task is cancelled.
        """

    async def cancel(self, task_id: str) -> None:  # noqa: B027 - a hook, not an obligation
        """Stop what `execute` started for this task outside the event loop, after `execute` was cancelled."""

    async def shutdown(self) -> None:  # noqa: B027 - a hook, not an obligation
        """Let go of what `setup` opened; called once, when no turn runs."""
