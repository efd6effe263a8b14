"""Put the A2A side together: card, JSON-RPC for 1.0 and 0.3, turns, what is remembered, and the controller's routes."""

import asyncio
from collections.abc import Sequence

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.types import AgentCard
from starlette.applications import Starlette
from starlette.routing import Route

from a2a_executor import Surroundings, TurnExecutor
from a2a_service import AgentParts
from admission import BASE_URL
from agent_card import at_url, build_card
from control_routes import ControlRoutes
from conversations import Conversations
from journal import Journal
from platform_auth import PlatformToken
from policies.limits import TurnSlots
from push_configs import PushConfigs
from push_sender import PushSender
from snapshot import Remembered, Snapshot
from task_store import WorkspaceTaskStore
from transcript import Transcript

RPC_URL = "/"
CARD_CACHING = "public, max-age=60"
CLOSE_SECONDS = 1.0


class A2AServer:
    """The application that stands behind the admission, and what it remembers."""

    def __init__(self, parts: AgentParts) -> None:
        base = parts.base
        config, environment = base.settings.config, base.settings.environment
        # In the loop's next round: what is being written down is not yet among what a snapshot holds.
        journal = Journal(
            environment.config_folder, when_long=lambda: asyncio.get_running_loop().call_soon(self.save)
        )
        conversations, webhooks = Conversations(journal.add), PushConfigs(journal.add)
        tasks = WorkspaceTaskStore(journal.add, forgotten=webhooks.delete_info)
        around = Surroundings(
            ledger=base.ledger,
            tasks=tasks,
            slots=TurnSlots(config.limits),
            conversations=conversations,
            plugins=parts.plugins,
            scrubber=base.scrubber,
        )
        remembered = Remembered(conversations=conversations, tasks=tasks, webhooks=webhooks)
        self._tasks = tasks
        self._executor = TurnExecutor(parts.adapter, around)
        self._sender = PushSender(webhooks, tasks)
        self._snapshot = Snapshot(environment.config_folder, journal, remembered, base.ledger)
        url = environment.public_url
        card = build_card(config, parts.skills, f"{url or f'http://localhost:{parts.port}'}{RPC_URL}")
        handler = DefaultRequestHandler(
            agent_executor=self._executor,
            task_store=tasks,
            agent_card=card,
            push_config_store=webhooks,
            push_sender=self._sender,
            validate_input_modes=True,
        )
        control = ControlRoutes(base.lifecycle, base.board, environment.control_token_file)
        transcript = Transcript(conversations, PlatformToken(environment.config_folder), base.scrubber.scrub)
        self.app = _build_app(card, handler, [*control.routes(), *transcript.routes()], public_url=url)

    async def restore(self) -> None:
        """Take over what an earlier process left, and tell webhooks of the tasks that its end cut short."""
        for task_id in await self._snapshot.restore():
            task = await self._tasks.get(task_id, ServerCallContext())
            if task is not None:
                await self._sender.send_notification(task_id, task)

    def save(self) -> None:
        """Write what the next process takes over."""
        self._snapshot.write()

    async def stop_all(self) -> None:
        """Stop every turn, because the process ends."""
        await self._executor.stop_all()

    async def close(self) -> None:
        """Let notifications that are under way go out."""
        await self._sender.close(CLOSE_SECONDS)


def _build_app(
    card: AgentCard, handler: DefaultRequestHandler, others: Sequence[Route], *, public_url: str | None
) -> Starlette:
    """Return the application; without `public_url` the card names the URL under which it was asked for."""

    async def localized(original: AgentCard) -> AgentCard:
        return at_url(original, f"{public_url or BASE_URL.get()}{RPC_URL}")

    return Starlette(
        routes=[
            *create_jsonrpc_routes(handler, RPC_URL, enable_v0_3_compat=True),
            *create_agent_card_routes(card, card_modifier=localized, cache_control=CARD_CACHING),
            *others,
        ]
    )
