"""The containers of Docker hosts other than this machine, each over TLS or ssh and each for itself.

A host that does not answer, or that nobody has the certificates for, is what it says of its own targets; the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from controller.api.conditions import Reason
from controller.api.v1alpha1 import DockerHost, WorkspaceRuntime
from controller.clients.bounded import bounded
from controller.clients.docker import DockerEngine, EngineTls
from controller.clients.parts import Parts
from controller.clients.ssh_tunnel import SshTunnel
from controller.model.actions import Replace
from controller.model.errors import Problem, Terminal
from controller.model.observed import Unknown
from controller.model.target import Barred, Target
from controller.observe.docker_hosts import Sightings, observe
from controller.reconcile.roll import roll
from controller.settings import Settings

_HOST_SECONDS: Final = 10.0
"""How long one host may take to be looked at: less than all targets together, so that none is held up by another."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host as the document has it, and its engine, or why there is no way to that; `switching` as in `Parts`."""

    entry: DockerHost
    engine: DockerEngine | Terminal
    sightings: Sightings = field(default_factory=Sightings)
    switching: set[str] = field(default_factory=set)
    tunnel: SshTunnel | None = None
    """What its engine is reached by over ssh."""


@dataclass(frozen=True, slots=True)
class HostTargets:
    """The hosts of one document, by name; of each what the document says of it now is asked."""

    hosts: Mapping[str, Host]

    @property
    def engines(self) -> tuple[DockerEngine, ...]:
        """The engines of those that there is a way to."""
        return tuple(host.engine for host in self.hosts.values() if isinstance(host.engine, DockerEngine))

    async def observe(self, document: WorkspaceRuntime) -> tuple[Target, ...]:
        """Return the targets of all hosts; one stands for those of a host that cannot be seen."""
        seen = await asyncio.gather(*(self._seen(document, host) for host in self.hosts.values()))
        return tuple(target for targets in seen for target in targets)

    async def roll(self, parts: Parts, document: WorkspaceRuntime, action: Replace) -> str:
        """Bring one container to the recorded image of a version, or end what was begun there. Raises as `reconcile.roll`."""
        _, name, container = action.target.split("/")
        host = self.hosts[name]
        if isinstance(host.engine, Terminal):
            raise host.engine
        try:
            return await roll(replace(parts, engine=host.engine, switching=host.switching), document, action)
        finally:
            host.sightings.touch(container, datetime.now(UTC))

    async def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a container of a host may have changed, or its engine has; runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for host in self.hosts.values():
                if isinstance(host.engine, DockerEngine):
                    group.create_task(_follow(host.engine, host, wake))

    async def _seen(self, document: WorkspaceRuntime, host: Host) -> tuple[Target, ...]:
        listed = (each for each in document.spec.targets.docker_hosts if each.name == host.entry.name)
        if (entry := next(listed, None)) is None:
            return ()
        if isinstance(host.engine, Terminal):  # it is a Secret's, which a person can mend
            return (_unseen(entry.name, host.engine, Reason(host.engine.reason)),)
        try:
            return await bounded(_looked_at(document, entry, host, host.engine), seconds=_HOST_SECONDS)
        except Problem as problem:
            return (_unseen(host.entry.name, problem, Reason.UNKNOWN),)


NO_HOSTS: Final = HostTargets(MappingProxyType({}))


async def observe_host(
    engine: DockerEngine,
    host: DockerHost,
    document: WorkspaceRuntime,
    *,
    sightings: Sightings,
    switching: Collection[str],
) -> tuple[Target, ...]:
    """Return the targets of a document on one of its hosts; see `observe`."""
    return await observe(
        engine,
        prefix=host.container_prefix,
        selector=host.selector.match_labels,
        templates={template.name: template.image for template in document.spec.templates},
        package=document.spec.package.name,
        sightings=sightings,
        switching=switching,
    )


@asynccontextmanager
async def open_hosts(
    document: WorkspaceRuntime,
    settings: Settings,
    withheld: Mapping[str, Terminal],
    *,
    but: str | None = None,
) -> AsyncIterator[HostTargets]:
    """Open the engines of a document's hosts, `but` the one of that name; nothing is reached yet.

    `withheld` says why a Secret of that name cannot be had.
    """
    async with AsyncExitStack() as stack:
        hosts: dict[str, Host] = {}
        for number, entry in enumerate(document.spec.targets.docker_hosts):
            if entry.name == but:
                continue
            engine: DockerEngine | Terminal
            tunnel = None
            try:
                if entry.ssh_secret_name is not None:
                    files, named = _files(entry.ssh_secret_name, number, "ssh", settings, withheld)
                    tunnel = SshTunnel(entry.endpoint, files, named=named)
                    await stack.enter_async_context(tunnel)
                tls = _tls(entry, number, settings, withheld)
                endpoint = tunnel.endpoint if tunnel is not None else entry.endpoint
                opened = DockerEngine(endpoint, host=entry.name, tls=tls, tunnelled=tunnel is not None)
                engine = await stack.enter_async_context(opened)
            except Terminal as problem:
                engine = problem
            hosts[entry.name] = Host(entry, engine, tunnel=tunnel)
        yield HostTargets(hosts)


def _tls(
    entry: DockerHost, number: int, settings: Settings, withheld: Mapping[str, Terminal]
) -> EngineTls | None:
    if entry.tls_secret_name is None:
        return None
    files, named = _files(entry.tls_secret_name, number, "tls", settings, withheld)
    return EngineTls.of(files, named=named)


def _files(
    name: str, number: int, kind: str, settings: Settings, withheld: Mapping[str, Terminal]
) -> tuple[Mapping[str, Path], str]:
    """Return the files of a host's Secret, and what messages call it. Raises Terminal as `Settings.secret`."""
    if name in withheld:
        raise withheld[name]
    field_ = f"spec.targets.dockerHosts[{number}].{kind}SecretName"
    return settings.secret(name, field=field_), f"{field_} names Secret {name}"


async def _looked_at(
    document: WorkspaceRuntime, entry: DockerHost, host: Host, engine: DockerEngine
) -> tuple[Target, ...]:
    if host.tunnel is not None:
        await host.tunnel.stands()
    return await observe_host(engine, entry, document, sightings=host.sightings, switching=host.switching)


async def _follow(engine: DockerEngine, host: Host, wake: Callable[[], None]) -> None:
    async for event in engine.events():
        host.sightings.heard(event.container_id, datetime.now(UTC))
        # what engines tell of themselves has no name, and counts
        if not event.name or event.name.lstrip("/").startswith((host.entry.container_prefix, "wsr-")):
            wake()


def _unseen(host: str, problem: Problem, reason: Reason) -> Target:
    cause = str(problem).rstrip(".")
    return Target.unseen_host(host, Barred(reason, cause), Unknown(cause, datetime.now(UTC)))
