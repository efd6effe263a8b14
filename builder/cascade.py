"""Turns one wheel into one candidate image per template: a layer on its last full build, or a full build."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from builder.bases import Bases
from builder.cascade_inputs import CascadeInputs, Template, Why
from builder.dockerfile import base_images
from builder.engine import Engine, EngineError, EngineUnavailable
from builder.foreign import Foreign, FullBuildMissing, RequirementsChanged
from builder.inventory import Inventory, NotInventoried, Unmet
from builder.made import BASE_DIGEST_LABEL, BASE_NAME_LABEL, Base, Child, Failure, Made, platform_of
from builder.naming import candidate_inputs, candidate_tag, full_build_tag
from builder.npmconf import Npm
from builder.oci import DockerConfig, NoCredentials, ReadOnly, RegistryError, Unavailable
from builder.pipconf import Index
from builder.stages.image import BuildFailed, FullBuild, NoBuilder, build_image
from builder.stages.inventory import take_inventory
from builder.stages.layer import (
    Compiler,
    Layer,
    NotAppendable,
    appended_config,
    layer_key,
    make_layer,
)
from builder.stores import Store, StoredImage
from builder.template_inputs import full_build_inputs
from builder.wheel import Wheel

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


_UNUSABLE: Final = (
    BuildFailed,
    FullBuildMissing,
    NoBuilder,
    NotAppendable,
    NotInventoried,
    RequirementsChanged,
    RequirementsUnmet,
    WrongRuntime,
)
"""What somebody must correct in a template; each is the reason that it is reported with."""


class Cascade:
    """One run: the engine, the stores by platform, and what templates share (the layer, the turns to build).

    `foreign` finds full builds for platforms that are not built here; None in Engine mode, which has none.
    """

    def __init__(  # noqa: PLR0913 -- each is one part of a run
        self,
        inputs: CascadeInputs,
        wheel: Wheel,
        *,
        engine: Engine,
        stores: Callable[[str], Store],
        foreign: Foreign | None,
        out: Path,
        npm: Npm,
    ) -> None:
        self._inputs = inputs
        self._wheel = wheel
        self._engine = engine
        self._stores = stores
        self._foreign = foreign
        self._out = out
        self._npm = npm
        self._turns = asyncio.Semaphore(inputs.parallelism)
        self._build_turns = asyncio.Semaphore(FULL_BUILDS_AT_ONCE)
        self._layers: dict[str, asyncio.Task[Layer]] = {}

    async def run(self, machine_index: Index) -> dict[str, Made | Failure]:
        """Return what became of every template; one that fails does not stop the others.

        `machine_index` is where full builds get packages when the inputs name no index.
        """
        index = self._inputs.index or machine_index
        templates = self._inputs.templates
        results = await asyncio.gather(*(self._attempt(template, index) for template in templates))
        return {template.name: result for template, result in zip(templates, results, strict=True)}

    async def _attempt(self, template: Template, index: Index) -> Made | Failure:
        try:
            async with self._turns:
                return await self._make(template, index)
        except (EngineUnavailable, Unavailable) as error:
            reason = "EngineUnavailable" if isinstance(error, EngineError) else "RegistryUnavailable"
            return Failure(
                reason, str(error), transient=True, retry_after=getattr(error, "retry_after", None)
            )
        except _UNUSABLE as error:
            return Failure(type(error).__name__, str(error))
        except EngineError as error:
            return Failure("EngineRefused", str(error))
        except RegistryError as error:
            reason = f"Registry{type(error).__name__}"
            return Failure(reason, str(error), transient=isinstance(error, ReadOnly))

    async def _make(self, template: Template, index: Index) -> Made:
        started, foreign = time.monotonic(), self._foreign
        seen = [foreign.base(template, other) for other in template.others] if foreign else []
        others = await asyncio.gather(*seen)
        store = self._stores(template.platform)
        base = await (
            self._served(template, store) if template.shadow else self._base(template, store, index)
        )
        digests = sorted(each.image.digest for each in (base, *others))
        name = f"{template.image}:{candidate_tag(candidate_inputs(self._wheel.sha256, *digests))}"
        # the images of an index have no tags of their own
        image, built = await self._image(base, store, template.image if others else name)
        children: dict[str, Child] = {}
        if foreign and others:
            children = {platform_of(image): Child(image, base, compiled=True)}
            children |= await self._children(template, foreign, others, self._compiler(base, store))
            image = await foreign.index([child.image for child in children.values()], name=name)
        return Made(image, base, built, time.monotonic() - started, children)

    async def _image(self, base: Base, store: Store, name: str) -> tuple[StoredImage, str]:
        """Return the image for the platform that is built here, and how it came to be."""
        if self._labels().items() <= base.image.labels.items():
            return await store.point(base.image, name=name), "Full"
        layer = await self._layer(base.inventory, self._compiler(base, store))
        return await self._append(base, layer, store, name), "Append"

    async def _children(
        self, template: Template, foreign: Foreign, bases: Sequence[Base], compiler: Compiler
    ) -> dict[str, Child]:
        """Return the images for the other platforms."""

        async def child(platform: str, base: Base) -> Child:
            layer = await self._layer(base.inventory, compiler)
            image = await self._append(base, layer, foreign.store(platform), template.image)
            return Child(image, base, layer.compiled)

        platforms = [other.platform for other in template.others]
        made = await asyncio.gather(*map(child, platforms, bases))
        return dict(zip(platforms, made, strict=True))

    async def _served(self, template: Template, store: Store) -> Base:
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

    async def _base(self, template: Template, store: Store, index: Index) -> Base:
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
        inventory = await self._look_into(await store.name_in_engine(image))
        return inventory, inventory.write(own)

    def _inventory_file(self, template: Template, image: StoredImage) -> Path:
        return self._out / template.name / f"inventory-{image.digest.removeprefix('sha256:')[:12]}.json"

    async def _look_into(self, image: str) -> Inventory:
        script = self._wheel.scripts[0] if self._wheel.scripts else ""
        return await take_inventory(self._engine, image, package=self._wheel.name, script=script)

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
        trial = f"{repository}:building-{tag}"
        build = FullBuild(
            directory=template.directory,
            tag=trial,
            wheel=self._wheel.path,
            index=index,
            npm=self._npm,
            log=self._out / template.name / "build.log",
            build_args=template.build_args,
            labels={**self._labels(), **_base_labels(template, bases), BUILD_REASON_LABEL: str(why)},
            platform=template.platform,
            docker_config=self._inputs.registry.docker_config,
            fresh=template.fresh,
        )
        try:
            async with self._build_turns:
                await self._engine.untag(trial)  # of a run that was killed
                await build_image(self._engine, build)
            inventory = await self._look_into(trial)
            self._expect_candidate(inventory)
            await self._engine.tag(trial, repository=repository, tag=tag)
        finally:
            await self._engine.untag(trial)
        image = await store.adopt(name)
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

    async def _append(self, base: Base, layer: Layer, store: Store, name: str) -> StoredImage:
        labels = {
            **self._labels(),
            BASE_NAME_LABEL: base.image.name,
            BASE_DIGEST_LABEL: base.image.digest,
        }
        what = f"{self._wheel.name} {self._wheel.version} (wheel sha256 {self._wheel.sha256})"
        config = appended_config(base.image.config, layer, labels=labels, what=what, why=self._history(base))
        return await store.put(base.image, layer, config, name=name)

    def _history(self, base: Base) -> str:
        """Return why the layer is there, told by what it is made of alone: the same input must give the same bytes."""
        below = " and ".join(base.inventory.runtime_versions) or None
        why = Why("WheelChanged", below and f"runtime {below}", f"runtime {self._wheel.version}")
        built = base.image.labels.get(BUILD_REASON_LABEL)
        return f"{why}; upon full build {base.image.digest}{f' ({built})' if built else ''}"

    def _compiler(self, base: Base, store: Store) -> Compiler:
        async def image() -> str:
            return await store.name_in_engine(base.image)

        return Compiler(self._engine, base.inventory, image)

    async def _layer(self, inventory: Inventory, compiler: Compiler) -> Layer:
        """Return the layer for a full build; those that do not differ in what it needs share it."""
        usable = compiler if compiler.compiles_for(inventory) else None
        key = layer_key(self._wheel.sha256, inventory, compiled=usable is not None)
        if key not in self._layers:
            making = make_layer(self._wheel.path, inventory, compiler=usable)
            self._layers[key] = asyncio.create_task(making)
        return await asyncio.shield(self._layers[key])

    def _labels(self) -> dict[str, str]:
        return {
            VERSION_LABEL: self._wheel.version,
            WHEEL_LABEL: self._wheel.sha256,
            CONTENT_LABEL: self._inputs.content_sha256,
        }

    async def _bases(self, template: Template) -> dict[str, str]:
        dockerfile = template.directory / "Dockerfile"
        if not dockerfile.is_file():
            return {}
        config = self._inputs.registry.docker_config
        bases = Bases(
            self._engine,
            DockerConfig(config) if config else NoCredentials(),
            template.platform,
            by_registry=self._inputs.mode == "Remote",
        )
        names = base_images(dockerfile.read_text(), template.build_args)
        return await bases.prepare(names, template.bases, newest=template.fresh)


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
