"""What every world has in common, wherever its targets run: releases are read here, and brought to where targets get them.

Records, images, templates, source and index are read side by side; of the actions all are done here but those that
change a target.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from controller.act.adopt import adopt
from controller.act.cascade import cascade
from controller.act.dispatch import dispatch
from controller.act.judge import judge
from controller.act.package import package
from controller.act.promote import promote, tag
from controller.act.prune import prune
from controller.act.publish import publish
from controller.act.resume import resume
from controller.act.roll_back import roll_back
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.registry import Registry
from controller.model.actions import (
    Adopt,
    Cascade,
    Dispatch,
    Judge,
    Package,
    Probe,
    Promote,
    Prune,
    Publish,
    Resume,
    RollBack,
    Tag,
)
from controller.model.delivery import DeliveredImage
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import ServedPackage
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.template_record import TemplateInputs
from controller.observe.deliveries import Seen, read_deliveries
from controller.observe.images import read_engine_images, read_first_images, read_registry_image
from controller.observe.index import read_package
from controller.observe.source import read_source, read_template
from controller.plan.state import images_for_new
from controller.plan.tags import all_tags
from controller.plan.unread import is_there
from controller.reconcile.gate import gate
from controller.reconcile.image_facts import ImageFacts
from controller.reconcile.readings import Readings
from controller.reconcile.registries import Registries

Records = Observed[Mapping[str, ReleaseRecord]]
ReleaseAction = (
    Adopt | Cascade | Dispatch | Judge | Package | Probe | Promote | Prune | Publish | Resume | RollBack | Tag
)


@dataclass(frozen=True, slots=True)
class ReleaseWorld:
    """The part of a `World` that is about releases.

    `registry` is that of Remote mode, None in Engine mode, and `writing` the same with the right to write.
    """

    parts: Parts
    registry: Registry | None
    image_facts: ImageFacts
    writing: Registry | None = None
    readings: Readings = field(default_factory=Readings)
    _seen: Seen = field(default_factory=dict)

    async def observe(
        self,
        document: WorkspaceRuntime,
        targets: Awaitable[tuple[Target, ...]],
        *,
        earlier: Observation | None,
        record: bool = False,
    ) -> Observation:
        """Read the world as `World.observe` says; what nothing depends on now is not read. `targets` reads the targets."""
        now = datetime.now(UTC)
        read = self.readings
        if earlier is not None:
            records = earlier.records
            if record and isinstance(records, Known):
                rereading = self._reread(records.value, document.spec.version)
                records = await read.value("release records", rereading, now)
            return replace(earlier, records=records, targets=await read.value("targets", targets, now))
        async with asyncio.TaskGroup() as group:
            reading_targets = group.create_task(read.value("targets", targets, now))
            observation = await self._releases(document, reading_targets, now)
        return await self.image_facts.added_to(observation, document, now=now)

    async def perform(self, document: WorkspaceRuntime, action: ReleaseAction) -> str:  # noqa: C901, PLR0911 -- one line for each
        """Do one action to its end and return one line about it. Raises a Problem when it did not succeed."""
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
                self.parts.runs.prepare("promote")
                return await gate(self.parts, document, action)
            case Tag():
                return await tag(self.parts, document, action)
            case Publish():
                return await publish(self.parts, document, action)
            case Dispatch():
                return await dispatch(self.parts, document, action)
            case Promote():
                return await promote(self.parts, document, action)
            case Judge():
                return await judge(self.parts, document, action)
            case Resume():
                return await resume(self.parts, action)
            case RollBack():
                return await roll_back(self.parts, action)
            case Prune():
                return await prune(self.parts.records, self.writing or self.parts.docker, document, action)

    async def _releases(
        self, document: WorkspaceRuntime, targets: Awaitable[Observed[tuple[Target, ...]]], now: datetime
    ) -> Observation:
        """Read all that is read while the targets are."""
        read, spec = self.readings, document.spec
        records: Records = await read.value("release records", self.parts.records.records(), now)
        record = records.value.get(spec.version) if isinstance(records, Known) else None
        public = record is not None and record.published_time is not None
        async with asyncio.TaskGroup() as group:
            reading_images = group.create_task(self._images(document, records, now))
            templates = group.create_task(self._templates(document, now))
            index = None if public else group.create_task(self._index(document, now))
            source = group.create_task(self._source(document, index, now)) if index is not None else None
        images, unread = reading_images.result()
        return Observation(
            source=source.result() if source else None,
            index=index.result() if index else None,
            records=records,
            images=images,
            unread=unread,
            templates=templates.result(),
            targets=await targets,
            deliveries=await self._deliveries(document, record, images, now),
        )

    async def images_of(
        self, document: WorkspaceRuntime, records: Mapping[str, ReleaseRecord]
    ) -> Observation:
        """Look for the images of `records` that the document asks for, and for nothing else."""
        now = datetime.now(UTC)
        known, unread_ = Known(records), Unknown("it was not read", now)
        images, unread = await self._images(document, known, now)
        return Observation(None, None, known, images, {}, unread_, unread=unread)

    async def _reread(
        self, records: Mapping[str, ReleaseRecord], version: str
    ) -> Mapping[str, ReleaseRecord]:
        """Return `records` with that of one version as it is now."""
        others = {known: record for known, record in records.items() if known != version}
        return others | dict(await self.parts.records.records({version}))

    async def _images(
        self, document: WorkspaceRuntime, records: Records, now: datetime
    ) -> tuple[Observed[Mapping[str, str]], Mapping[str, Unknown]]:
        """Return the images that there are by reference, and those of which the registry tells nothing though it does of others."""
        if self.registry is None:
            reading = read_engine_images(self.parts.docker, now=now)
            return await self.readings.observed("images", reading, now), {}
        references = {
            f"{template.image}:{tag}" for template in document.spec.templates for tag in all_tags(template)
        }
        known = records.value if isinstance(records, Known) else {}
        used = [
            [each for each in images if each.repository == template.image]
            for template in document.spec.templates
            if (images := images_for_new(known, document.spec.version, template.name))
        ]
        recorded: dict[str, str] = {}
        if (record := known.get(document.spec.version)) is not None:
            # Shadows stand in at the gate, which is behind a version that is public.
            shadows = record.shadows.values() if record.published_time is None else ()
            references |= {shadow.image for shadow in shadows}
            recorded = {image.image: image.identity for image in record.templates.values()}
        registry = self.registry

        async def look(wanted: Collection[str]) -> Mapping[str, Observed[str | None]]:
            readings = {each: read_registry_image(registry, each, now=now) for each in sorted(wanted)}
            return await self.readings.each("image", readings, now)

        seen = await read_first_images(look, references, recorded, used)
        unread = {reference: each for reference, each in seen.items() if isinstance(each, Unknown)}
        if unread and len(unread) == len(seen):
            return next(iter(unread.values())), {}
        told = {reference: each.value for reference, each in seen.items() if isinstance(each, Known)}
        return Known({reference: digest for reference, digest in told.items() if digest is not None}), unread

    async def _templates(
        self, document: WorkspaceRuntime, now: datetime
    ) -> Mapping[str, Observed[TemplateInputs]]:
        readings = {
            template.name: read_template(self.parts.checkouts, template.build, document.spec.version, now=now)
            for template in document.spec.templates
            if template.build.ours
        }
        return await self.readings.each("template", readings, now)

    async def _deliveries(
        self,
        document: WorkspaceRuntime,
        record: ReleaseRecord | None,
        images: Observed[Mapping[str, str]],
        now: datetime,
    ) -> Mapping[str, Observed[tuple[DeliveredImage, ...]]]:
        """Look at what somebody else built, once the version that they build is public."""
        registry = self.registry
        if registry is None or isinstance(images, Unknown) or record is None or record.published_time is None:
            return {}

        async def of(template: Template) -> Observed[tuple[DeliveredImage, ...]]:
            return await read_deliveries(
                registry,
                template,
                moving=images.value,
                version=None if _is_served(record, template, images.value) else record.version,
                platform=(await self.parts.platforms(template.build))[0],
                seen=self._seen,
                now=now,
            )

        readings = {
            template.name: of(template) for template in document.spec.templates if not template.build.ours
        }
        return await self.readings.each("deliveries of", readings, now)

    async def _source(
        self, document: WorkspaceRuntime, index: Awaitable[Observed[ServedPackage]], now: datetime
    ) -> Observed[str] | None:
        """Read the source; nothing is fetched of a version that the index serves or that somebody else publishes."""
        spec = document.spec
        if spec.source.git is not None:
            if spec.package.publish == "External":
                return None
            served = await index
            if isinstance(served, Known) and spec.version in served.value.releases:
                return None
        reading = read_source(self.parts.checkouts, spec.source, spec.version, now=now)
        return await self.readings.observed("source", reading, now)

    async def _index(self, document: WorkspaceRuntime, now: datetime) -> Observed[ServedPackage]:
        reading = read_package(self.parts.index, document.spec.package.name, now=now)
        return await self.readings.observed("index", reading, now)


def release_world(parts: Parts, opened: Registries | None) -> ReleaseWorld:
    """Return the world of these clients; `opened` are the registries of Remote mode, None in Engine mode."""
    if opened is None:
        return ReleaseWorld(parts, None, ImageFacts(parts, None, None))
    return ReleaseWorld(
        parts, opened.reading, ImageFacts(parts, opened.reading, opened.bases), opened.writing
    )


def _is_served(record: ReleaseRecord, template: Template, images: Mapping[str, str]) -> bool:
    """Whether the image that is recorded of a template is there, under whatever name."""
    recorded = record.templates.get(template.name)
    return recorded is not None and is_there(template, recorded.identity, images)
