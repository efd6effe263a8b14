"""Put the A2A application together: card, JSON-RPC for 1.0 and 0.3, and the routes of the controller."""

from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import AgentCard
from starlette.applications import Starlette
from starlette.routing import Route

from a2a_executor import TurnExecutor
from agent_card import at_url
from gate import BASE_URL
from task_store import WorkspaceTaskStore

RPC_URL = "/"


def build_app(
    card: AgentCard,
    executor: TurnExecutor,
    tasks: WorkspaceTaskStore,
    *,
    control: list[Route],
    public_url: str | None,
) -> Starlette:
    """Return the application that stands behind the gate.

    Without `public_url` the card names the URL under which it was asked for.
    """

    async def localized(original: AgentCard) -> AgentCard:
        return at_url(original, f"{public_url or BASE_URL.get()}{RPC_URL}")

    handler = DefaultRequestHandler(agent_executor=executor, task_store=tasks, agent_card=card)
    return Starlette(
        routes=[
            *create_jsonrpc_routes(handler, RPC_URL, enable_v0_3_compat=True),
            *create_agent_card_routes(card, card_modifier=localized),
            *control,
        ]
    )
