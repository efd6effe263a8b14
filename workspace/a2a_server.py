"""Put the A2A application together: card, JSON-RPC for 1.0 and 0.3, status and drain, behind the gate."""

from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import AgentCard
from starlette.applications import Starlette

from a2a_executor import TurnExecutor
from agent_card import at_url
from control_routes import ControlRoutes
from gate import BASE_URL, Gate
from lifecycle import Lifecycle
from task_store import WorkspaceTaskStore

RPC_URL = "/"


def build_app(
    card: AgentCard,
    executor: TurnExecutor,
    *,
    tasks: WorkspaceTaskStore,
    control: ControlRoutes,
    lifecycle: Lifecycle,
    public_url: str | None,
    max_body_bytes: int,
) -> Gate:
    """Return the ASGI application. Without `public_url` the card names the URL under which it was asked for."""

    async def localized(original: AgentCard) -> AgentCard:
        return at_url(original, f"{public_url or BASE_URL.get()}{RPC_URL}")

    handler = DefaultRequestHandler(agent_executor=executor, task_store=tasks, agent_card=card)
    routes = [
        *create_jsonrpc_routes(handler, RPC_URL, enable_v0_3_compat=True),
        *create_agent_card_routes(card, card_modifier=localized),
        *control.routes(),
    ]
    return Gate(Starlette(routes=routes), lifecycle, max_body_bytes=max_body_bytes)
