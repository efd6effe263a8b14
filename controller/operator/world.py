"""The outside of one object in a cluster: its registry and index, workloads, and builder runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Final

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.checkouts import Checkouts
from controller.clients.index import index_client
from controller.clients.jobs import FullBuilds, JobPlace, JobRuns, job_access
from controller.clients.kube import KubeCluster, Owner
from controller.clients.kube_cache import KubeCache
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.parts import Parts
from controller.clients.registry_config import registry_hosts
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import BUILDS_AT_ONCE, BuilderRuns, Runs
from controller.model.actions import Action, Replace
from controller.model.errors import Terminal
from controller.model.observation import Observation
from controller.model.target import Target
from controller.plan.steering import steered
from controller.reconcile.cluster_targets import ClusterTargets, workspaces_in
from controller.reconcile.host_targets import HostTargets, open_hosts
from controller.reconcile.pod_prover import PodProver, place_of
from controller.reconcile.registries import open_registries
from controller.reconcile.release_world import ReleaseWorld, release_world
from controller.settings import Settings
from controller.variables import GitHubPlace

NOTHING: Final[Mapping[str, Terminal]] = MappingProxyType({})
_INHERITED: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


@dataclass(frozen=True, slots=True)
class ClusterWorld:
    """The `World` of an object in a cluster."""

    releases: ReleaseWorld
    targets: ClusterTargets
    hosts: HostTargets

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
        targets = self._targets(document, settled)
        return await self.releases.observe(document, targets, earlier=earlier, record=record)

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        """See `World`."""
        if isinstance(action, Replace) and action.target.startswith("docker/"):
            return await self.hosts.roll(self.parts, document, action)
        if isinstance(action, Replace):
            return await self.targets.roll(self.parts, document, action)
        return await self.releases.perform(document, action)

    def leave(self) -> None:
        """Let builder runs under way go on without us: whoever comes next takes them up."""
        if isinstance(self.parts.runs, JobRuns):
            self.parts.runs.leaving = True

    async def fetch(self, document: WorkspaceRuntime, template: Template, image: str) -> None:
        """Look whether nodes, which pull images themselves, will find one. Raises NotFound, Transient or Terminal."""
        del document, template
        if self.releases.registry is not None:
            await self.releases.registry.digest(image)

    def waits(self) -> Mapping[str, str]:
        """See `World`."""
        return dict(self.parts.waits)

    async def watch(self, document: WorkspaceRuntime, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a target or what an action waits for may have changed; runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.targets.watch(document, wake))
            group.create_task(self.hosts.watch(wake))
            group.create_task(self.parts.watch_news(wake))

    async def _targets(self, document: WorkspaceRuntime, settled: Collection[str]) -> tuple[Target, ...]:
        readings = [self.hosts.observe(document)]
        if document.spec.targets.workloads:
            readings.append(self.targets.observe(document, settled=settled))
        return steered(document, tuple(chain.from_iterable(await asyncio.gather(*readings))))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What worlds are opened in: the cluster, the settings of the object, its folder, and who writes its records."""

    cluster: KubeCluster
    uid: str
    settings: Settings
    folder: Path
    writer: str
    builder_image: str | None
    full_builds: FullBuilds | None
    say: Callable[[str], None]


@asynccontextmanager
async def open_world(
    document: WorkspaceRuntime, around: Surroundings, withheld: Mapping[str, Terminal] = NOTHING
) -> AsyncIterator[ClusterWorld]:
    """Open what `document` works with; `withheld` says why a Secret of a Docker host cannot be had, by its name.

    Raises:
        Terminal: a Secret is incomplete; nothing was reached yet.
    """
    spec, settings = document.spec, around.settings
    async with AsyncExitStack() as stack:
        index = await stack.enter_async_context(index_client(document, settings))
        opened = await open_registries(document, settings, stack)
        records = RegistryRecords(
            opened.writing,
            spec.registry.artifacts,
            cache=around.folder / "blobs",
            writer=lambda: around.writer,
        )
        runs = await stack.enter_async_context(_runs(document, around))
        checkouts = Checkouts(around.folder, around.folder / "checkouts", settings)
        stack.push_async_callback(checkouts.aclose)
        hosts = await stack.enter_async_context(open_hosts(document, settings, withheld))
        parts = Parts(
            engine=None,
            hosts=hosts.engines,
            registry=opened.reading,
            index=index,
            records=records,
            runs=runs,
            prover=PodProver(around.cluster, _owner(document, around), place_of(settings), say=around.say),
            settings=settings,
            folder=around.folder,
            checkouts=checkouts,
            say=around.say,
        )
        asking = workspaces_in(around.cluster, settings, package=spec.package.name)
        workspaces = await stack.enter_async_context(asking)
        cache = KubeCache(around.cluster)
        targets = ClusterTargets(cache, KubeWorkloads(cache), workspaces)
        yield ClusterWorld(release_world(parts, opened), targets, hosts)


@asynccontextmanager
async def _runs(document: WorkspaceRuntime, around: Surroundings) -> AsyncIterator[BuilderRuns]:
    """Give what runs the builder: Jobs of its image; where none is named, processes beside this one."""
    if around.builder_image is None:
        async with aclosing(Runs(around.settings.child_environment, parallel=BUILDS_AT_ONCE)) as runs:
            yield runs
        return
    owner = _owner(document, around)
    place = JobPlace(
        namespace=owner.namespace,
        owner=owner.reference,
        image=around.builder_image,
        work=around.folder,
        full_builds=around.full_builds,
    )
    access = job_access(document.spec.registry, around.settings, hosts=registry_hosts(document))
    yield JobRuns(around.cluster, place, access)


def _owner(document: WorkspaceRuntime, around: Surroundings) -> Owner:
    return Owner(document.metadata.namespace, document.metadata.name, around.uid)


def settings_of_object(settings: Settings, *, secrets: Path) -> Settings:
    """Return the settings for an object of the cluster: its own Secrets, and no credentials of this process."""
    return replace(
        settings,
        secrets_dir=secrets,
        docker_config=secrets / "none",
        pypi_token=None,
        identity=None,
        ghcr=None,
        github=GitHubPlace(api_url=settings.github.api_url, server_url=settings.github.server_url),
        hook_secret=None,
        admin_token=None,
        dispatch_token=None,
        notification_hosts=settings.notification_hosts or frozenset(),
        child_environment={
            "HOME": str(secrets),
            **{name: value for name, value in settings.child_environment.items() if name in _INHERITED},
        },
    )


def foundation_of(document: WorkspaceRuntime) -> str:
    """Return what stands for all of a document that its world is opened with; a version is not among that."""
    spec = document.spec
    images = [template.image for template in spec.templates]
    parts = [spec.registry, spec.package, spec.targets]
    told = json.dumps([images, *(part.model_dump(mode="json") for part in parts)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
