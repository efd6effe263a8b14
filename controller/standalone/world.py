"""The outside of one machine: one Docker Engine, folders, an index, and builder runs as child processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from controller.act.adopt import adopt
from controller.act.cascade import cascade
from controller.act.dispatch import dispatch
from controller.act.judge import judge
from controller.act.package import package
from controller.act.promote import promote, tag
from controller.act.prune import prune
from controller.act.publish import publish
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from controller.clients.index import PackageIndex
from controller.clients.parts import Parts
from controller.clients.records import RecordStore
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_config import registry_secret
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import Runs
from controller.clients.stand_in import StandIn
from controller.model.delivery import DeliveredImage
from controller.model.errors import Problem
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import ServedPackage
from controller.model.plan import (
    Action,
    Adopt,
    Cascade,
    Dispatch,
    Judge,
    Package,
    Probe,
    Promote,
    Prune,
    Publish,
    Replace,
    Tag,
)
from controller.model.record import ReleaseRecord, TemplateInputs
from controller.model.target import Target
from controller.observe.bases import RegistryBases
from controller.observe.deliveries import Seen, read_deliveries
from controller.observe.docker_hosts import Sightings
from controller.observe.docker_hosts import observe as observe_targets
from controller.observe.images import read_engine_images, read_registry_images
from controller.observe.index import read_package
from controller.observe.source import read_source, read_template
from controller.plan.steering import steered
from controller.plan.tags import all_tags
from controller.reconcile.gate import gate
from controller.reconcile.roll import roll
from controller.settings import BasicCredentials, Settings
from controller.standalone.image_facts import ImageFacts, registries

T = TypeVar("T")

SOURCE_SECONDS: Final = 30.0
"""How long any one source may take in a pass before it counts as unknown."""
BUILDS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class StandaloneWorld:
    """The `World` of one machine."""

    parts: Parts
    registry: Registry | None
    """The registry of Remote mode; None in Engine mode."""
    image_facts: ImageFacts
    writing: Registry | None = None
    """The same registry with the right to write; None in Engine mode."""
    sightings: Sightings = field(default_factory=Sightings)
    _seen: Seen = field(default_factory=dict)
    _unknown_since: dict[str, datetime] = field(default_factory=dict)

    async def observe(
        self, document: WorkspaceRuntime, *, earlier: Observation | None, record: bool = False
    ) -> Observation:
        """See `World`. What nothing depends on now is not read."""
        now = datetime.now(UTC)
        if earlier is not None:
            records = earlier.records
            if record and isinstance(records, Known):
                rereading = self._reread(records.value, document.spec.version)
                records = await self._read("release records", rereading, now)
            return replace(
                earlier, records=records, targets=await self._read("targets", self._targets(document), now)
            )
        records = await self._read("release records", self.parts.records.records(), now)
        public = isinstance(records, Known) and _is_public(records.value, document.spec.version)
        async with asyncio.TaskGroup() as group:
            targets_read = group.create_task(self._read("targets", self._targets(document), now))
            images = group.create_task(self._images(document, records, now))
            templates = group.create_task(self._templates(document, now))
            source = None if public else group.create_task(self._source(document, now))
            index = None if public else group.create_task(self._index(document, now))
        observation = Observation(
            source=source.result() if source else None,
            index=index.result() if index else None,
            records=records,
            images=images.result(),
            templates=templates.result(),
            targets=targets_read.result(),
            deliveries=await self._deliveries(document, records, images.result(), now),
        )
        return await self.image_facts.added_to(observation, document, now=now)

    async def perform(  # noqa: C901, PLR0911 -- one line for each kind of action
        self, document: WorkspaceRuntime, action: Action
    ) -> str:
        """See `World`."""
        match action:
            case Adopt():
                return await adopt(self.parts, document, action)
            case Package():
                self.parts.runs.prepare("cascade")
                return await package(self.parts, document, action)
            case Cascade():
                self.parts.runs.prepare("publish")
                return await cascade(self.parts, document, action)
            case Probe():
                return await gate(self.parts, document, action)
            case Tag():
                return await tag(self.parts, document, action)
            case Publish():
                return await publish(self.parts, document, action)
            case Dispatch():
                return await dispatch(self.parts, document, action)
            case Replace():
                try:
                    return await roll(self.parts, document, action)
                finally:
                    self.sightings.touch(action.target.rsplit("/", 1)[1], datetime.now(UTC))
            case Promote():
                return await promote(self.parts, document, action)
            case Judge():
                return await judge(self.parts, action)
            case Prune():
                return await prune(self.parts.records, self.writing or self.parts.engine, document, action)

    def waits(self) -> Mapping[str, str]:
        """See `World`."""
        return dict(self.parts.waits)

    async def _read(self, source: str, reading: Awaitable[T], now: datetime) -> Observed[T]:
        """Return what `reading` yields, or since when and why it is unknown."""
        try:
            async with asyncio.timeout(SOURCE_SECONDS):
                value = await reading
        except Problem as problem:
            return Unknown(str(problem), self._unknown_since.setdefault(source, now))
        except TimeoutError:
            reason = f"it did not answer within {SOURCE_SECONDS:g} s"
            return Unknown(reason, self._unknown_since.setdefault(source, now))
        self._unknown_since.pop(source, None)
        return Known(value)

    async def _reread(
        self, records: Mapping[str, ReleaseRecord], version: str
    ) -> Mapping[str, ReleaseRecord]:
        """Return `records` with that of one version as it is now."""
        others = {known: record for known, record in records.items() if known != version}
        return others | dict(await self.parts.records.records({version}))

    async def _targets(self, document: WorkspaceRuntime) -> tuple[Target, ...]:
        host = document.spec.targets.docker_hosts[0]
        found = await observe_targets(
            self.parts.engine,
            prefix=host.container_prefix,
            selector=host.selector.match_labels,
            templates={template.name: template.image for template in document.spec.templates},
            package=document.spec.package.name,
            sightings=self.sightings,
        )
        return steered(document, found)

    async def _images(
        self, document: WorkspaceRuntime, records: Observed[Mapping[str, ReleaseRecord]], now: datetime
    ) -> Observed[Mapping[str, str]]:
        if self.registry is None:
            return await read_engine_images(self.parts.engine, now=now)
        references = {
            f"{template.image}:{tag}" for template in document.spec.templates for tag in all_tags(template)
        }
        record = records.value.get(document.spec.version) if isinstance(records, Known) else None
        if record is not None:
            recorded = (*record.templates.values(), *record.shadows.values())
            references |= {template.image for template in recorded}
        return await read_registry_images(self.registry, references, now=now)

    async def _templates(
        self, document: WorkspaceRuntime, now: datetime
    ) -> Mapping[str, Observed[TemplateInputs]]:
        readings = {
            template.name: read_template(
                self.parts.base / template.build.directory, template.build.args, now=now
            )
            for template in document.spec.templates
            if template.build.ours
        }
        return dict(zip(readings, await asyncio.gather(*readings.values()), strict=True))

    async def _deliveries(
        self,
        document: WorkspaceRuntime,
        records: Observed[Mapping[str, ReleaseRecord]],
        images: Observed[Mapping[str, str]],
        now: datetime,
    ) -> Mapping[str, Observed[tuple[DeliveredImage, ...]]]:
        """Look at what somebody else built, once the version that they build is public."""
        record = records.value.get(document.spec.version) if isinstance(records, Known) else None
        if (
            self.registry is None
            or isinstance(images, Unknown)
            or record is None
            or not record.published_time
        ):
            return {}
        readings = {
            template.name: read_deliveries(
                self.registry,
                template,
                moving=images.value,
                version=None if template.name in record.templates else record.version,
                platform=(await self.parts.platforms(template.build))[0],
                seen=self._seen,
                now=now,
            )
            for template in document.spec.templates
            if not template.build.ours
        }
        return dict(zip(readings, await asyncio.gather(*readings.values()), strict=True))

    async def _source(self, document: WorkspaceRuntime, now: datetime) -> Observed[str]:
        return await read_source(self.parts.base / document.spec.source.directory, now=now)

    async def _index(self, document: WorkspaceRuntime, now: datetime) -> Observed[ServedPackage]:
        return await read_package(self.parts.index, document.spec.package.name, now=now)


def _is_public(records: Mapping[str, ReleaseRecord], version: str) -> bool:
    record = records.get(version)
    return record is not None and record.published_time is not None


@asynccontextmanager
async def open_world(
    document: WorkspaceRuntime, settings: Settings, *, base: Path, folder: Path, say: Callable[[str], None]
) -> AsyncIterator[StandaloneWorld]:
    """Open what `document` works with; `base` is where its relative paths start, `folder` the object's state.

    Raises:
        Terminal: a Secret is missing or incomplete; nothing was reached yet.
    """
    spec = document.spec
    host = spec.targets.docker_hosts[0]
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(DockerEngine(host.endpoint, host=host.name))
        index = await stack.enter_async_context(index_client(document, settings))
        records: RecordStore
        registry = writing = bases = None
        if spec.registry.mode == "Engine":
            records = EngineRecords(engine, spec.registry.artifacts, cache=folder / "blobs")
        else:
            access = _access(document, settings, reading=True)
            registry = await stack.enter_async_context(Registry(access))
            bases = RegistryBases(registries(access, registry, stack))
            writing = await stack.enter_async_context(Registry(_access(document, settings, reading=False)))
            records = RegistryRecords(writing, spec.registry.artifacts, cache=folder / "blobs")
        runs = await stack.enter_async_context(
            aclosing(Runs(settings.child_environment, parallel=BUILDS_AT_ONCE))
        )
        parts = Parts(
            engine=engine,
            index=index,
            records=records,
            runs=runs,
            stand_in=StandIn(engine, document.key),
            settings=settings,
            folder=folder,
            base=base,
            say=say,
        )
        yield StandaloneWorld(parts, registry, ImageFacts(parts, registry, bases), writing)


def index_client(document: WorkspaceRuntime, settings: Settings) -> PackageIndex:
    """Return the client of the document's index, not yet entered; raises Terminal for a Secret that cannot be used."""
    index = document.spec.package.index
    name, ca_name = index.credentials_secret_name, index.ca_secret_name
    return PackageIndex(
        index.simple_url,
        credentials=BasicCredentials.of_reader(settings.secret(name)) if name else None,
        ca_file=settings.secret(ca_name).get("ca.crt") if ca_name else None,
    )


def _access(document: WorkspaceRuntime, settings: Settings, *, reading: bool) -> RegistryAccess:
    registry = document.spec.registry
    hosts = {
        name.split("/", 1)[0]
        for name in (registry.artifacts, *(each.image for each in document.spec.templates))
    }
    return RegistryAccess(
        host=registry.artifacts.split("/", 1)[0],
        insecure=registry.insecure,
        ca_file=settings.secret(registry.ca_secret_name).get("ca.crt") if registry.ca_secret_name else None,
        secret=registry_secret(registry, settings, hosts=frozenset(hosts), reading=reading),
        ghcr=settings.ghcr,
        docker_config=settings.docker_config,
        helper_environment=settings.child_environment,
    )


async def watch(world: StandaloneWorld, file: Path, wake: asyncio.Event) -> None:
    """Set `wake` whenever the document's file, a container of the engine or what we wait for changes; runs until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_file(file, wake))
        group.create_task(_watch_engine(world, wake))
        group.create_task(_watch_news(world.parts.news, wake))


async def _watch_file(file: Path, wake: asyncio.Event) -> None:
    """Compare the file's identity twice a second: works on every file system, and for editors that rename."""
    last = _stamp(file)
    while True:
        await asyncio.sleep(0.5)
        current = _stamp(file)
        if current != last:
            last = current
            wake.set()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        facts = file.stat()
        return (facts.st_ino, facts.st_mtime_ns, facts.st_size)
    return None


async def _watch_news(news: asyncio.Event, wake: asyncio.Event) -> None:
    while True:
        await news.wait()
        news.clear()
        wake.set()


async def _watch_engine(world: StandaloneWorld, wake: asyncio.Event) -> None:
    async for event in world.parts.engine.events():
        if event.container_id:
            world.sightings.touch(event.container_id, datetime.now(UTC))
        else:  # the connection began or was lost: events were missed
            world.sightings.forget_all()
        wake.set()
