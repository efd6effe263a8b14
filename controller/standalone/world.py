"""The outside of one machine: one Docker Engine, folders, an index, and builder runs as child processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkouts
from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from controller.clients.index import PackageIndex, index_client
from controller.clients.parts import Parts
from controller.clients.records import RecordStore
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import BUILDS_AT_ONCE, Runs
from controller.model.actions import Action, Replace
from controller.model.errors import Terminal
from controller.model.observation import Observation
from controller.model.target import Target
from controller.observe.docker_hosts import Sightings
from controller.plan.steering import steered
from controller.reconcile.docker_prover import DockerProver
from controller.reconcile.host_targets import NO_HOSTS, HostTargets, observe_host, open_hosts
from controller.reconcile.registries import open_registries
from controller.reconcile.release_world import ReleaseWorld, release_world
from controller.reconcile.roll import roll
from controller.settings import Settings
from controller.standalone.writer import WriterName

if TYPE_CHECKING:
    from controller.reconcile.cluster_targets import ClusterTargets


@dataclass(frozen=True, slots=True)
class StandaloneWorld:
    """The `World` of one machine."""

    releases: ReleaseWorld
    others: HostTargets = NO_HOSTS
    """The hosts beside this machine."""
    own: str | None = None
    """What the document calls this machine, where containers of it are targets."""
    cluster: ClusterTargets | None = None
    """Where workloads are targets, too; None where the document names none."""
    sightings: Sightings = field(default_factory=Sightings)

    @property
    def parts(self) -> Parts:
        """What actions work with."""
        return self.releases.parts

    async def observe(
        self,
        document: WorkspaceRuntime,
        *,
        earlier: Observation | None,
        record: bool = False,
        settled: Collection[str] = (),
    ) -> Observation:
        """See `World`."""
        targets = self.targets(document, settled)
        return await self.releases.observe(document, targets, earlier=earlier, record=record)

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        """See `World`."""
        if not isinstance(action, Replace):
            return await self.releases.perform(document, action)
        if self.cluster is not None and not action.target.startswith("docker/"):
            return await self.cluster.roll(self.parts, document, action)
        if action.target.split("/")[1] in self.others.hosts:
            return await self.others.roll(self.parts, document, action)
        try:
            return await roll(self.parts, document, action)
        finally:
            self.sightings.touch(action.target.rsplit("/", 1)[1], datetime.now(UTC))

    def waits(self) -> Mapping[str, str]:
        """See `World`."""
        return dict(self.parts.waits)

    async def targets(self, document: WorkspaceRuntime, settled: Collection[str] = ()) -> tuple[Target, ...]:
        """Return the targets, with what holds them. Raises Terminal or Transient where they cannot be read."""
        readings: list[Awaitable[tuple[Target, ...]]] = [
            observe_host(
                self.parts.docker,
                host,
                document,
                sightings=self.sightings,
                switching=self.parts.switching,
            )
            for host in document.spec.targets.docker_hosts
            if host.name == self.own
        ]
        if self.others.hosts:
            readings.append(self.others.observe(document))
        if self.cluster is not None:
            readings.append(self.cluster.observe(document, settled=settled))
        return steered(document, tuple(chain.from_iterable(await asyncio.gather(*readings))))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a verb does with a world: no Secret is opened that it does not need for that."""

    index: bool = True
    """It asks the package index, with credentials; without this it is nobody there."""
    writing: bool = True
    """It writes to the registry; without this records are only read."""


ALL: Final = Needs()


@asynccontextmanager
async def open_world(  # noqa: PLR0913 -- each is one thing that a world is opened with
    document: WorkspaceRuntime,
    settings: Settings,
    *,
    base: Path,
    folder: Path,
    say: Callable[[str], None],
    needs: Needs = ALL,
    runs: Runs | None = None,
) -> AsyncIterator[StandaloneWorld]:
    """Open what `document` works with; `base` is where its relative paths start, `folder` the object's state.

    Builder runs are those of `runs`, or new ones.

    Raises:
        Terminal: a Secret is missing or incomplete, or an engine is another machine's; nothing was reached yet.
    """
    spec = document.spec
    own = next((host for host in spec.targets.docker_hosts if host.endpoint.startswith("unix:")), None)
    if own is None and spec.targets.docker_hosts and spec.registry.mode == "Engine":
        raise Terminal(
            Reason.INVALID,
            f"spec.targets.dockerHosts[0].endpoint is {spec.targets.docker_hosts[0].endpoint}, and in registry.mode Engine images"
            " are in this machine's engine only.",
            fix="Write its socket, as unix:///var/run/docker.sock, or use registry.mode: Remote.",
        )
    endpoint, name = (own.endpoint, own.name) if own is not None else (settings.docker_host, "local")
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(DockerEngine(endpoint, host=name))
        client = (
            index_client(document, settings) if needs.index else PackageIndex(spec.package.index.simple_url)
        )
        index = await stack.enter_async_context(client)
        records: RecordStore
        opened = None
        if spec.registry.mode == "Engine":
            records = EngineRecords(engine, spec.registry.artifacts, cache=folder / "blobs")
        else:
            opened = await open_registries(document, settings, stack, writing=needs.writing)
            writer = stack.enter_context(closing(WriterName(folder)))
            records = RegistryRecords(
                opened.writing, spec.registry.artifacts, cache=folder / "blobs", writer=writer
            )
        runs = await stack.enter_async_context(
            aclosing(runs or Runs(settings.child_environment, parallel=BUILDS_AT_ONCE))
        )
        checkouts = Checkouts(base, folder / "checkouts", settings)
        stack.push_async_callback(checkouts.aclose)
        others = await stack.enter_async_context(
            open_hosts(document, settings, {}, but=name if own else None)
        )
        parts = Parts(
            engine=engine,
            hosts=others.engines,
            registry=opened.reading if opened else None,
            index=index,
            records=records,
            runs=runs,
            prover=DockerProver(engine, document.key, settings),
            settings=settings,
            folder=folder,
            checkouts=checkouts,
            say=say,
        )
        cluster = None
        if spec.targets.workloads:
            # The library of clusters takes two seconds to import, and need not be installed.
            from controller.reconcile.cluster_targets import open_cluster  # noqa: PLC0415 -- see above

            cluster = await stack.enter_async_context(open_cluster(settings, package=spec.package.name))
        yield StandaloneWorld(release_world(parts, opened), others, name if own else None, cluster)
