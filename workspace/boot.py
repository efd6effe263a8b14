"""Start the process in the order that makes it answer early: control socket, adapter, HTTP server.

Importing an agent framework takes seconds to minutes. Until then `molecule-runtime ctl` already answers, and a
stop ends the process at once. The A2A SDK is loaded later, by the first request that needs it.
"""

import logging
import os
import sys
from dataclasses import dataclass

from address import bind
from builtin_tools.security import Scrubber
from control_socket import ControlSocket
from crash_budget import CrashBudget
from environment import config_folder
from identity import Identity, read_identity
from lifecycle import Lifecycle
from logs import start_logging
from preflight import ExitCode, Settings, StartError, find_adapter, read_settings
from runtime_wedge import Wedge
from status import AdapterIdentity, StatusBoard
from task_ledger import TaskLedger
from termination import exit_quietly_until_serving

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """What works without an event loop, an adapter or the A2A SDK."""

    settings: Settings
    scrubber: Scrubber
    ledger: TaskLedger
    wedge: Wedge
    lifecycle: Lifecycle
    board: StatusBoard
    control: ControlSocket
    budget: CrashBudget


def serve() -> ExitCode:
    """Run the workspace until it is told to stop; return how it ended."""
    folder, identity = config_folder(), read_identity()
    budget = CrashBudget(folder, content_sha256=identity.content_sha256)
    exit_quietly_until_serving(budget.withdraw)
    scrubber = Scrubber()
    start_logging(os.environ.get("LOG_LEVEL", "INFO"), scrubber)
    if (failures := budget.begin()) is not None:
        budget.wait_for_change(failures)
        return ExitCode.FAILED
    try:
        return _serve(_lay_foundation(scrubber, identity, budget))
    except StartError as error:
        budget.failed(scrubber.scrub(str(error)))
        logger.critical("%s", error, exc_info=error.__cause__ if error.code is ExitCode.BUILD else None)
        return error.code


def check() -> ExitCode:
    """Check configuration and adapter without serving, and say what is wrong."""
    try:
        settings = read_settings(os.environ)
        _, adapter = find_adapter(settings.config)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    sys.stdout.write(
        f"ok: {settings.environment.config_folder} with adapter {adapter.__module__}.{adapter.__name__}\n"
    )
    return ExitCode.DONE


def _lay_foundation(scrubber: Scrubber, identity: Identity, budget: CrashBudget) -> Foundation:
    settings = read_settings(os.environ)
    ledger = TaskLedger()
    wedge = Wedge(after_seconds=settings.environment.wedged_after_seconds)
    lifecycle = Lifecycle(ledger, wedge, max_waiting=settings.config.limits.max_waiting)
    board = StatusBoard(identity, lifecycle, ledger)
    return Foundation(
        settings=settings,
        scrubber=scrubber,
        ledger=ledger,
        wedge=wedge,
        lifecycle=lifecycle,
        board=board,
        control=ControlSocket(lifecycle, board),
        budget=budget,
    )


def _serve(foundation: Foundation) -> ExitCode:
    identity = foundation.board.identity
    logger.info(
        "Starting %s %s, commit %s, contentSha256 %s",
        identity.package,
        identity.version,
        identity.commit or "unknown",
        identity.content_sha256,
    )
    config = foundation.settings.config
    listener = bind(config.a2a.host, foundation.settings.environment.port or config.a2a.port)
    foundation.control.open()
    try:
        module, adapter = find_adapter(config)
        foundation.board.adapter = AdapterIdentity.of(module, adapter.name)
        from runtime import run  # noqa: PLC0415 - the HTTP server, after everything that may fail sooner

        return run(foundation, adapter, listener)
    finally:
        foundation.control.close()
