"""Turns one wheel into one candidate image per template: a layer on its last full build, or a full build."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from builder.buildah import BuildForbidden
from builder.cascade_inputs import CascadeInputs, Template, Why
from builder.engine import EngineError, EngineUnavailable
from builder.foreign import Foreign, FullBuildMissing, RequirementsChanged
from builder.full_builds import (
    BUILD_REASON_LABEL,
    FullBuilds,
    RequirementsUnmet,
    WrongRuntime,
)
from builder.inventory import Inventory, NotInventoried
from builder.made import BASE_DIGEST_LABEL, BASE_NAME_LABEL, Base, Child, Failure, Made, platform_of
from builder.naming import candidate_inputs, candidate_tag
from builder.oci import ReadOnly, RegistryError, Unavailable
from builder.pipconf import Index
from builder.stages.image import BuildFailed, NoBuilder
from builder.stages.layer import (
    Compiler,
    Layer,
    NotAppendable,
    appended_config,
    layer_key,
    make_layer,
)
from builder.stores import Store, StoredImage
from builder.wheel import Wheel
from builder.workshop import BaseUnavailable, FullBuildNeeded, Workshop

_UNUSABLE: Final = (
    BaseUnavailable,
    BuildForbidden,
    BuildFailed,
    FullBuildMissing,
    FullBuildNeeded,
    NoBuilder,
    NotAppendable,
    NotInventoried,
    RequirementsChanged,
    RequirementsUnmet,
    WrongRuntime,
)
"""What somebody must correct in a template; each is the reason that it is reported with."""


class Cascade:
    """One run: where programs of images run, the stores by platform, and what templates share (the layer, the turns to build).

    `foreign` finds full builds for platforms that are not built here; None in Engine mode, which has none.
    """

    def __init__(  # noqa: PLR0913 -- each is one part of a run
        self,
        inputs: CascadeInputs,
        wheel: Wheel,
        *,
        full: FullBuilds,
        workshop: Workshop,
        stores: Callable[[str], Store],
        foreign: Foreign | None,
    ) -> None:
        self._inputs = inputs
        self._wheel = wheel
        self._workshop = workshop
        self._full = full
        self._stores = stores
        self._foreign = foreign
        self._turns = asyncio.Semaphore(inputs.parallelism)
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
            self._full.served(template, store) if template.shadow else self._full.base(template, store, index)
        )
        digests = sorted(each.image.digest for each in (base, *others))
        name = f"{template.image}:{candidate_tag(candidate_inputs(self._wheel.sha256, *digests))}"
        # the images of an index have no tags of their own
        image, built = await self._image(base, store, template.image if others else name)
        children: dict[str, Child] = {}
        if foreign and others:
            children = {platform_of(image): Child(image, base, compiled=True)}
            children |= await self._children(
                template, foreign, others, self._workshop.compiler(base.image, base.inventory, store)
            )
            image = await foreign.index([child.image for child in children.values()], name=name)
        return Made(image, base, built, time.monotonic() - started, children)

    async def _image(self, base: Base, store: Store, name: str) -> tuple[StoredImage, str]:
        """Return the image for the platform that is built here, and how it came to be."""
        if self._full.labels().items() <= base.image.labels.items():
            return await store.point(base.image, name=name), "Full"
        layer = await self._layer(base.inventory, self._workshop.compiler(base.image, base.inventory, store))
        return await self._append(base, layer, store, name), "Append"

    async def _children(
        self, template: Template, foreign: Foreign, bases: Sequence[Base], compiler: Compiler | None
    ) -> dict[str, Child]:
        """Return the images for the other platforms."""

        async def child(platform: str, base: Base) -> Child:
            layer = await self._layer(base.inventory, compiler)
            image = await self._append(base, layer, foreign.store(platform), template.image)
            return Child(image, base, layer.compiled)

        platforms = [other.platform for other in template.others]
        made = await asyncio.gather(*map(child, platforms, bases))
        return dict(zip(platforms, made, strict=True))

    async def _append(self, base: Base, layer: Layer, store: Store, name: str) -> StoredImage:
        labels = {
            **self._full.labels(),
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

    async def _layer(self, inventory: Inventory, compiler: Compiler | None) -> Layer:
        """Return the layer for a full build; those that do not differ in what it needs share it."""
        usable = compiler if compiler and compiler.compiles_for(inventory) else None
        key = layer_key(self._wheel.sha256, inventory, compiled=usable is not None)
        if key not in self._layers:
            making = make_layer(self._wheel.path, inventory, compiler=usable)
            self._layers[key] = asyncio.create_task(making)
        return await asyncio.shield(self._layers[key])
