"""Finds the full build of a template that a layer can be put on, and builds the template's Dockerfile where none will do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from builder.cascade_inputs import CascadeInputs, Template, Why
from builder.dockerfile import base_images
from builder.inventory import Inventory, Unmet
from builder.made import BASE_DIGEST_LABEL, BASE_NAME_LABEL, Base
from builder.naming import full_build_tag
from builder.npmconf import Npm
from builder.pipconf import Index
from builder.stages.image import FullBuild
from builder.stores import Store, StoredImage
from builder.template_inputs import full_build_inputs
from builder.wheel import Wheel
from builder.workshop import Workshop

FULL_BUILDS_AT_ONCE: Final = 2
"""More only wait for each other on two cores, and each needs the memory of a pip run."""

VERSION_LABEL: Final = "ai.molecule.runtime.version"
WHEEL_LABEL: Final = "ai.molecule.runtime.wheel-sha256"
CONTENT_LABEL: Final = "ai.molecule.runtime.content-sha256"
BUILD_REASON_LABEL: Final = "ai.molecule.runtime.build-reason"
"""Why the full build was made; images appended to it inherit it."""


class WrongRuntime(Exception):  # noqa: N818 -- the reason it is reported with
    """A full build holds another runtime than the candidate; `str()` says which."""


class RequirementsUnmet(Exception):  # noqa: N818 -- the reason it is reported with
    """An image that somebody else built lacks what the wheel needs; `str()` says what."""


class FullBuilds:
    """The full builds of one run: what is there is found by its name, the rest is built a few at a time."""

    def __init__(
        self, inputs: CascadeInputs, wheel: Wheel, *, workshop: Workshop, out: Path, npm: Npm
    ) -> None:
        self._inputs = inputs
        self._wheel = wheel
        self._workshop = workshop
        self._out = out
        self._npm = npm
        self._build_turns = asyncio.Semaphore(FULL_BUILDS_AT_ONCE)

    async def served(self, template: Template, store: Store) -> Base:
        """Return the image that somebody else built, when it has what the wheel needs."""
        served = template.full_build
        if served is None:
            raise ValueError(f"{template.name} is a shadow of nothing")
        image = await store.find(served.image, digest=served.digest)
        if image is None:
            raise RequirementsUnmet(f"{served.image}@{served.digest} is not served any more.")
        inventory, file = await self._inventory(template, store, image)
        if unmet := inventory.unmet(self._wheel.requires):
            raise RequirementsUnmet(
                f"{served.image}@{served.digest} lacks what {self._wheel.version} requires: {', '.join(map(str, unmet))}."
            )
        return Base(image, inventory, file, template.why)

    async def base(self, template: Template, store: Store, index: Index) -> Base:
        """Return the full build to use; one is made when none that is there will do."""
        known, known_lacks = template.full_build, None
        if known and not template.rebuild:
            tried = await self._fitting(template, store, known.image, digest=known.digest)
            if isinstance(tried, Base):
                return tried
            known_lacks = tried
        bases = await self._bases(template)
        inputs = full_build_inputs(template.inputs_sha256, bases, template.request)
        name = f"{template.image}:{full_build_tag(inputs)}"
        found = await self._fitting(template, store, name)
        if isinstance(found, Base):
            return replace(found, bases=bases)
        why = template.why if template.rebuild else found or known_lacks or Why("FullBuildMissing")
        return await self._full_build(template, store, index, name=name, why=why, bases=bases)

    async def _fitting(
        self, template: Template, store: Store, name: str, *, digest: str = ""
    ) -> Base | Why | None:
        """Return a full build if the wheel can go on it, else why not; None when there is none of that name."""
        image = await store.find(name, digest=digest)
        if image is None:
            return None
        if template.always and image.labels.get(WHEEL_LABEL) != self._wheel.sha256:
            return template.why
        inventory, file = await self._inventory(template, store, image)
        unmet = inventory.unmet(self._wheel.requires)
        return _requirements_changed(unmet) if unmet else Base(image, inventory, file, template.why)

    async def _inventory(
        self, template: Template, store: Store, image: StoredImage
    ) -> tuple[Inventory, Path]:
        """Return the stored inventory of a full build, or take it once and store it."""
        known = template.full_build
        kept = known.inventory if known and known.digest == image.digest else None
        own = self._inventory_file(template, image)
        for file in (kept, own):
            if file and file.is_file():
                return Inventory.from_bytes(file.read_bytes()), file
        inventory = await self._workshop.look_into(image, store)
        return inventory, inventory.write(own)

    def _inventory_file(self, template: Template, image: StoredImage) -> Path:
        return self._out / template.name / f"inventory-{image.digest.removeprefix('sha256:')[:12]}.json"

    async def _full_build(  # noqa: PLR0913 -- what is built, where from, what it is called and why
        self,
        template: Template,
        store: Store,
        index: Index,
        *,
        name: str,
        why: Why,
        bases: Mapping[str, str],
    ) -> Base:
        """Build the template's Dockerfile; its name is given only to an image that holds the candidate."""
        repository, _, tag = name.rpartition(":")
        build = FullBuild(
            directory=template.directory,
            tag=f"{repository}:building-{tag}",
            wheel=self._wheel.path,
            index=index,
            npm=self._npm,
            log=self._out / template.name / "build.log",
            build_args=template.build_args,
            labels={**self.labels(), **_base_labels(template, bases), BUILD_REASON_LABEL: str(why)},
            platform=template.platform,
            login=self._inputs.registry.reading,
            fresh=template.fresh,
            bases=bases,
        )
        async with self._build_turns:
            image, inventory = await self._workshop.build(
                build, store, name=name, check=self._expect_candidate
            )
        file = inventory.write(self._inventory_file(template, image))
        return Base(image, inventory, file, why, bases)

    def _expect_candidate(self, inventory: Inventory) -> None:
        wanted = f"{self._wheel.name} {self._wheel.version}"
        if inventory.runtime_versions != (self._wheel.version,):
            found = " and ".join(inventory.runtime_versions) or "none"
            raise WrongRuntime(
                f"The full build should hold {wanted} and holds {found}. "
                "Look for a second pip index, a pin, or a copy of the runtime in the template."
            )
        if inventory.runtime_content_sha256 != self._inputs.content_sha256:
            raise WrongRuntime(
                f"The full build holds {wanted} with other files than the candidate's (content sha256 "
                f"{inventory.runtime_content_sha256}, wanted {self._inputs.content_sha256}). "
                "Look for a step of the Dockerfile that changes the installed package."
            )

    def labels(self) -> dict[str, str]:
        """Return what every image with the candidate says of itself."""
        return {
            VERSION_LABEL: self._wheel.version,
            WHEEL_LABEL: self._wheel.sha256,
            CONTENT_LABEL: self._inputs.content_sha256,
        }

    async def _bases(self, template: Template) -> dict[str, str]:
        dockerfile = template.directory / "Dockerfile"
        if not dockerfile.is_file():
            return {}
        return await self._workshop.bases(template, base_images(dockerfile.read_text(), template.build_args))


def _requirements_changed(unmet: Sequence[Unmet]) -> Why:
    before = ", ".join(f"{each.name} {each.installed or 'absent'}" for each in unmet)
    return Why("RequirementsChanged", before, ", ".join(f"{each.name}{each.needed}" for each in unmet))


def _base_labels(template: Template, bases: Mapping[str, str]) -> dict[str, str]:
    """Return name and digest of the image that the Dockerfile's last stage starts from, as far as they are known."""
    dockerfile = template.directory / "Dockerfile"
    names = base_images(dockerfile.read_text(), template.build_args) if dockerfile.is_file() else ()
    if not names:
        return {}
    return {BASE_NAME_LABEL: names[0], **({BASE_DIGEST_LABEL: bases[names[0]]} if names[0] in bases else {})}
