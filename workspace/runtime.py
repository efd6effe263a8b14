"""The workspace as a whole: serve, and wind down in an order that loses nothing."""

import asyncio
import gc
import logging
import socket

from a2a_service import A2AService, AgentParts
from adapters.base import AdapterConfig, AdapterConfigurationError, BaseAdapter
from admission import Admission
from boot import Foundation
from builtin_tools import builtin_tools
from drain_signal import drain_on_signal
from heartbeat import Heartbeat, Vitals
from http_server import HttpServer
from mcp_service import McpService
from platform_client import connect
from plugins_registry.registry import load_plugins
from preflight import ExitCode, StartError
from skill_loader.loader import load_skills
from termination import Termination

ADAPTER_SHUTDOWN_SECONDS = 2.0

logger = logging.getLogger(__name__)


def run(foundation: Foundation, adapter: type[BaseAdapter], listener: socket.socket) -> ExitCode:
    """Serve on a bound socket until a signal asks for the end.

    Raises:
        StartError: the adapter cannot be made or set up.
    """
    return asyncio.run(Workspace(foundation, adapter, listener).live())


class Workspace:
    """One running workspace."""

    def __init__(self, foundation: Foundation, adapter: type[BaseAdapter], listener: socket.socket) -> None:
        self._base = foundation
        self._config = foundation.settings.config
        self._environment = foundation.settings.environment
        self._port: int = listener.getsockname()[1]
        self._platform = connect(self._environment, self._config, self._port)
        self._tools = builtin_tools(
            self._environment.config_folder, platform=self._platform, scrub=foundation.scrubber.scrub
        )
        self._adapter = self._make(adapter)
        parts = AgentParts(
            base=foundation,
            adapter=self._adapter,
            plugins=load_plugins(self._config.plugins, self._environment.plugins_folder),
            skills=load_skills(self._config.skills, self._environment.config_folder / "skills"),
            port=self._port,
        )
        self._a2a = A2AService(parts, give_up=self._give_up)
        self._termination = Termination(
            foundation.lifecycle, grace_seconds=self._environment.grace_seconds, last_words=self._a2a.save
        )
        max_body_bytes = self._config.a2a.max_body_bytes
        self._mcp = McpService(
            self._tools,
            version=foundation.board.identity.version,
            max_body_bytes=max_body_bytes,
        )
        admission = Admission(
            self._a2a, self._mcp, foundation.lifecycle, foundation.board, max_body_bytes=max_body_bytes
        )
        self._server = HttpServer(admission, listener)

    async def live(self) -> ExitCode:
        """Serve until the end is asked for, then wind down."""
        self._termination.listen()
        drain_on_signal(self._base.lifecycle)
        await self._server.open()
        ticking = asyncio.create_task(self._server.tick(self._base.wedge.beat))
        if await self._set_up():
            self._base.lifecycle.ready()
            self._base.budget.over()
            self._announce()
            await self._termination.requested.wait()
        else:
            self._base.budget.withdraw()
        await self._wind_down()
        ticking.cancel()
        if self._a2a.broken is not None:
            raise self._a2a.broken
        return ExitCode.DONE

    async def _set_up(self) -> bool:
        """Set the adapter up; False when the end was asked for meanwhile."""
        setup = asyncio.create_task(self._adapter.setup())
        stop = asyncio.create_task(self._termination.requested.wait())
        await asyncio.wait({setup, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not setup.done():
            setup.cancel()
            await asyncio.wait({setup}, timeout=ADAPTER_SHUTDOWN_SECONDS)
            return False
        error = setup.exception()
        if isinstance(error, AdapterConfigurationError):
            raise StartError(ExitCode.CONFIGURATION, f"Configuration error: {error}") from error
        if error is not None:
            text = f"Build error: the adapter's setup failed: {type(error).__name__}: {error}"
            raise StartError(ExitCode.BUILD, text) from error
        self._base.wedge.ask(lambda: self._adapter.wedged_reason)
        return True

    def _announce(self) -> None:
        # What lives now lives until the end and is never looked through: doing so once would take a tenth of the
        # start, to find a few hundred objects.
        gc.freeze()
        gc.enable()
        logger.info(
            "Serving on port %d after %.2f s, adapter %s",
            self._port,
            self._base.board.uptime_seconds(),
            self._adapter.name,
        )
        self._start_heartbeats()

    async def _wind_down(self) -> None:
        workload = self._base.ledger.workload()
        if workload.active or workload.queued:
            # Whoever stops us may kill us before the tasks end; then this snapshot is what is left.
            self._a2a.save()
            logger.info("Waiting for %d running and %d waiting tasks", workload.active, workload.queued)
            if not await self._base.ledger.until_idle(self._termination.task_seconds):
                logger.warning("Cutting tasks short: the grace period is over")
                await self._a2a.stop_all()
        await self._server.close()
        await self._mcp.close()
        await self._a2a.close()
        self._a2a.save()
        try:
            async with asyncio.timeout(ADAPTER_SHUTDOWN_SECONDS):
                await self._adapter.shutdown()
        except Exception:
            logger.exception("Stopping although the adapter's shutdown failed")
        logger.info("Stopped")

    def _make(self, adapter: type[BaseAdapter]) -> BaseAdapter:
        config = self._config
        settings = AdapterConfig(
            name=config.name,
            description=config.description,
            role=config.role,
            model=config.model,
            runtime_config=config.runtime_config,
            config_folder=self._environment.config_folder,
            skills=config.skills,
            tools=self._tools,
        )
        try:
            return adapter(settings)
        except AdapterConfigurationError as error:
            raise StartError(ExitCode.CONFIGURATION, f"Configuration error: {error}") from error
        except Exception as error:
            text = f"Build error: {adapter.__name__} cannot be made: {type(error).__name__}: {error}"
            raise StartError(ExitCode.BUILD, text) from error

    def _give_up(self) -> None:
        self._base.lifecycle.stop()
        self._termination.requested.set()

    def _start_heartbeats(self) -> None:
        if self._platform is None:
            if self._environment.platform_url is not None:
                logger.warning("Sending no heartbeats: PLATFORM_URL is set, but WORKSPACE_ID is not")
            return
        base = self._base
        vitals = Vitals(board=base.board, ledger=base.ledger, wedge=base.wedge, scrubber=base.scrubber)
        Heartbeat(self._platform, vitals, interval_seconds=self._config.heartbeat_seconds).start()
