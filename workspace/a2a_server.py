"""Put the A2A side together: card, JSON-RPC for 1.0 and 0.3, turns, what is remembered, and the controller's routes."""

from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import AgentCard
from starlette.applications import Starlette

from a2a_executor import Surroundings, TurnExecutor
from a2a_service import AgentParts
from admission import BASE_URL
from agent_card import at_url, build_card
from control_routes import ControlRoutes
from conversations import Conversations
from policies.limits import TurnSlots
from snapshot import Snapshot
from task_store import WorkspaceTaskStore

RPC_URL = "/"


class A2AServer:
    """The application that stands behind the admission, and what it remembers."""

    def __init__(self, parts: AgentParts) -> None:
        base = parts.base
        config, environment = base.settings.config, base.settings.environment
        conversations, tasks = Conversations(), WorkspaceTaskStore()
        around = Surroundings(
            ledger=base.ledger,
            tasks=tasks,
            slots=TurnSlots(config.limits),
            conversations=conversations,
            plugins=parts.plugins,
            scrubber=base.scrubber,
        )
        self._executor = TurnExecutor(parts.adapter, around)
        self._snapshot = Snapshot(
            environment.config_folder, conversations=conversations, tasks=tasks, ledger=base.ledger
        )
        url = environment.public_url
        self.app = _build_app(
            build_card(config, parts.skills, f"{url or f'http://localhost:{parts.port}'}{RPC_URL}"),
            self._executor,
            tasks,
            control=ControlRoutes(base.lifecycle, base.board, environment.control_token_file),
            public_url=url,
        )

    async def restore(self) -> None:
        """Take over what an earlier process left."""
        await self._snapshot.restore()

    def save(self) -> None:
        """Write what the next process takes over."""
        self._snapshot.write()

    async def stop_all(self) -> None:
        """Stop every turn, because the process ends."""
        await self._executor.stop_all()


def _build_app(
    card: AgentCard,
    executor: TurnExecutor,
    tasks: WorkspaceTaskStore,
    *,
    control: ControlRoutes,
    public_url: str | None,
) -> Starlette:
    """Return the application; without `public_url` the card names the URL under which it was asked for."""

    async def localized(original: AgentCard) -> AgentCard:
        return at_url(original, f"{public_url or BASE_URL.get()}{RPC_URL}")

    handler = DefaultRequestHandler(agent_executor=executor, task_store=tasks, agent_card=card)
    return Starlette(
        routes=[
            *create_jsonrpc_routes(handler, RPC_URL, enable_v0_3_compat=True),
            *create_agent_card_routes(card, card_modifier=localized),
            *control.routes(),
        ]
    )
