"""The operator's process: waits to be the one that works, serves its objects, and ends rather than work beside another one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import kopf

from controller.admin.cluster_guard import ClusterGuard
from controller.admin.server import Address
from controller.clients.jobs import FullBuilds
from controller.clients.kube import SILENCE_SECONDS, KubeCluster, Place
from controller.clients.lease import LEASES, Lease
from controller.model.errors import Problem
from controller.operator import handlers
from controller.operator.driver import Office
from controller.operator.endpoint import Asked, answering
from controller.operator.fleet import Fleet
from controller.operator.vitals import Vitals
from controller.settings import Settings
from controller.telemetry.metrics import Metrics

LOG: Final = logging.getLogger("controller.operator")
LOST: Final = 1
"""The exit code of a process that lost its Lease."""
_WATCH_SECONDS: Final = 0.5
_ADMIN_OFF: Final = (
    "The admin endpoint is off: to ask whose token it was shown (TokenReview) is a right in the whole cluster, which this"
    " operator was not given (chart values admin.enabled and rbac.clusterWide)."
)


@dataclass(frozen=True, slots=True)
class Options:
    """How the operator was started.

    `namespaces` are those whose objects it serves and whose workloads it may roll, its own first. `pod` is what tells
    replicas apart, and `lease` the name of what they agree by, in its own namespace; None: there is only this one.
    """

    namespaces: tuple[str, ...]
    pod: str
    lease: str | None
    listen: Address
    state: Path
    secrets: Path
    builder_image: str | None = None
    full_builds: FullBuilds | None = None
    silence_seconds: float = SILENCE_SECONDS
    """After how long without a word a watch counts as dead."""
    may_review: bool = False
    """Whether it may ask the cluster whose token it was shown: without that right nobody may call the admin endpoint."""


async def serve(options: Options, settings: Settings, known: dict[str, frozenset[str]]) -> int:
    """Run until told to end, and return the exit code; `known` is filled with what must not show in the log.

    Raises:
        Problem: there is no way into the cluster, or no place to listen at.
    """
    kubeconfig = settings.kubeconfig if settings.kubeconfig and settings.kubeconfig.exists() else None
    vitals, metrics = Vitals(), Metrics()
    fleet = Fleet(vitals)
    opening = KubeCluster(
        kubeconfig,
        may_execute=settings.exec_in_pods,
        silence_seconds=options.silence_seconds,
        answered=metrics.asked,
    )
    async with opening as cluster, AsyncExitStack() as stack:
        guard = ClusterGuard(cluster, options.namespaces[0]) if options.may_review else _ADMIN_OFF
        hooks = settings.secret_of_hooks() if settings.hook_secret else None
        asked = Asked(vitals, metrics.text, fleet, guard, hooks)
        at = await stack.enter_async_context(answering(options.listen, asked))
        LOG.info("Answering at http://%s", at)
        identity = f"{options.pod}_{secrets.token_hex(4)}"
        lease = None
        if options.lease is not None:
            place = Place(LEASES, options.namespaces[0], options.lease)
            lease = Lease(cluster, place, identity, answered=vitals.answered)
            LOG.info("Waiting for %s as %s", place, identity)
            if not await _unless_told_to_end(lease.acquire()):
                return 0
        vitals.leading = True
        LOG.info("Serving namespaces %s", ", ".join(options.namespaces))
        office = Office(
            cluster=cluster,
            settings=settings,
            namespaces=frozenset(options.namespaces),
            state=options.state,
            secrets=options.secrets,
            writer=hashlib.sha256(options.pod.encode()).hexdigest()[:8],
            builder_image=options.builder_image,
            full_builds=options.full_builds,
            vitals=vitals,
            metrics=metrics,
            fleet=fleet,
            known=known,
        )
        holding = asyncio.create_task(_hold(lease)) if lease is not None else None
        try:
            await kopf.operator(
                registry=handlers.Handlers(office).registry(),
                settings=handlers.settings(silence_seconds=options.silence_seconds),
                namespaces=options.namespaces,
                standalone=True,
            )
        finally:
            if lease is not None and holding is not None:
                holding.cancel()
                with suppress(Problem):
                    await lease.release()
        LOG.info("Ending as told")
        return 0


async def _hold(lease: Lease) -> None:
    """Keep the Lease, and end the process at once when it is lost: nothing is cleaned up that another one works on by now."""

    def watch() -> None:
        # A loop that is held up could notice too late that it is.
        while not lease.overdue:
            time.sleep(_WATCH_SECONDS)
        _end_lost()

    threading.Thread(target=watch, name="lease", daemon=True).start()
    try:
        await lease.hold()
    except Problem as problem:
        LOG.error("Losing the lease: %s", problem)  # noqa: TRY400 -- it says what to do; a trace would not
    _end_lost()


def _end_lost() -> None:
    LOG.error("Ending: another replica may have the lease by now")
    logging.shutdown()
    os._exit(LOST)


async def _unless_told_to_end(work: Coroutine[Any, Any, None]) -> bool:
    """Do `work`, and return whether it was done before a signal came."""
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return True
