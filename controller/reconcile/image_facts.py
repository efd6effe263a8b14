"""Adds to an observation what there is to know of images beside which of them exist: bases, labels, requirements."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.registry import DEFAULT_PLATFORM, Registry
from controller.model.observation import Observation
from controller.model.observed import Known, Observed, Unknown
from controller.model.record import ReleaseRecord
from controller.model.template_record import FullBuild
from controller.observe.bases import RegistryBases, read_engine_bases
from controller.observe.seen_images import SeenImages
from controller.plan.full_builds import last_full_build
from controller.plan.unread import is_there


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Where images are looked into: the registry and the bases' registries, both None in Engine mode."""

    parts: Parts
    registry: Registry | None
    bases: RegistryBases | None
    seen: SeenImages = field(default_factory=SeenImages)

    async def added_to(
        self, observation: Observation, document: WorkspaceRuntime, *, now: datetime
    ) -> Observation:
        """Return `observation` with the bases now, the labels of recorded images, and what full builds lack."""
        if isinstance(observation.records, Unknown) or isinstance(observation.images, Unknown):
            return observation
        records, images, version = observation.records.value, observation.images.value, document.spec.version
        record = records.get(version)
        built = {
            template.name: full_build
            for template in document.spec.templates
            if (full_build := last_full_build(template.name, version, records)) is not None
        }
        lacking = {
            name: build
            for name, build in built.items()
            if record is not None and name not in record.templates
        }
        requires = record.requires if record is not None else ()
        bases, labels, unmet = await asyncio.gather(
            self._bases(observation, built, images, now),
            self._labels(document, record, images, now),
            self.seen.unmet(lacking, requires, self.parts.records),
        )
        return replace(observation, bases=bases, labels=labels, unmet=unmet)

    async def _bases(
        self,
        observation: Observation,
        built: Mapping[str, FullBuild],
        images: Mapping[str, str],
        now: datetime,
    ) -> Mapping[str, Observed[str]]:
        """Read the bases that full builds are known to have started from: nothing can be said of the others."""
        names = {
            base
            for name, inputs in observation.templates.items()
            if isinstance(inputs, Known) and name in built
            for base in inputs.value.bases
            if base in (built[name].bases or {})
        }
        return await self.bases.read(names, now=now) if self.bases else read_engine_bases(names, images)

    async def _labels(
        self,
        document: WorkspaceRuntime,
        record: ReleaseRecord | None,
        images: Mapping[str, str],
        now: datetime,
    ) -> Mapping[str, Observed[Mapping[str, str]]]:
        """Read the labels of what a released version's images are now; those of others were just built by us."""
        if record is None or record.published_time is None:
            return {}
        read = {}
        for template in document.spec.templates:
            recorded = record.templates.get(template.name)
            served = images.get(recorded.image, recorded.identity) if recorded is not None else ""
            if is_there(template, served, images):
                read[served] = partial(self._labels_of, template, served)
        return await self.seen.labels(read, now=now)

    async def _labels_of(self, template: Template, image: str) -> Mapping[str, str]:
        if self.registry is not None:
            platform, _ = await self.parts.platforms(template.build)
            return await self.registry.labels(
                f"{template.image}@{image}", platform=platform or DEFAULT_PLATFORM
            )
        labels = (await self.parts.docker.inspect_image(image))["Config"].get("Labels")
        return labels or {}
