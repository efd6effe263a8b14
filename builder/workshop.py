"""Where the programs of images run: full builds are made there and looked into, and byte code is compiled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from builder.bases import Bases
from builder.buildah import Buildah
from builder.cascade_inputs import CascadeInputs, Template
from builder.derived import LayerReader
from builder.engine import Engine
from builder.inventory import Inventory
from builder.login import credentials_of
from builder.oci import NotFound, Reference, Refused, Unauthorized
from builder.remote_store import RemoteStore
from builder.stages.image import FullBuild, build_image
from builder.stages.inventory import take_inventory
from builder.stages.layer import Compiler
from builder.stores import Store, StoredImage
from builder.wheel import Wheel


class BaseUnavailable(Exception):  # noqa: N818 -- the reason it is reported with
    """A registry refuses an image that a Dockerfile starts from; `str()` says which, and what the registry said."""


class FullBuildNeeded(Exception):  # noqa: N818 -- the reason it is reported with
    """No full build will do, and nothing here can make one."""


class Workshop(Protocol):
    """What a cascade needs of such a place."""

    async def bases(self, template: Template, names: Sequence[str]) -> dict[str, str]:
        """Return the digests that a full build starts from, by the names that its Dockerfile has for them, as far as known."""

    async def look_into(self, image: StoredImage, store: Store) -> Inventory:
        """Return what an image of a store holds; raises NotInventoried."""

    def compiler(self, image: StoredImage, inventory: Inventory, store: Store) -> Compiler | None:
        """Return what compiles with the Python of an image, where that can be run."""

    async def build(
        self, build: FullBuild, store: Store, *, name: str, check: Callable[[Inventory], None]
    ) -> tuple[StoredImage, Inventory]:
        """Build an image in full and store it under a name, which is given only to one that passes `check`.

        Raises:
            FullBuildNeeded: nothing can be built here.
            BuildFailed, NoBuilder: as `build_image`.
        """


@dataclass(frozen=True, slots=True)
class EngineWorkshop:
    """A Docker Engine."""

    engine: Engine
    inputs: CascadeInputs
    wheel: Wheel

    async def bases(self, template: Template, names: Sequence[str]) -> dict[str, str]:
        """See `Workshop`; they are put into the engine at these digests."""
        bases = Bases(
            self.engine,
            credentials_of(self.inputs.registry.reading),
            template.platform,
            by_registry=self.inputs.mode == "Remote",
        )
        return await bases.prepare(names, template.bases, newest=template.fresh)

    async def look_into(self, image: StoredImage, store: Store) -> Inventory:
        """See `Workshop`; the image's own Python is asked."""
        return await self._asked(await store.name_in_engine(image))

    def compiler(self, image: StoredImage, inventory: Inventory, store: Store) -> Compiler:
        """See `Workshop`."""

        async def name() -> str:
            return await store.name_in_engine(image)

        return Compiler(self.engine, inventory, name)

    async def build(
        self, build: FullBuild, store: Store, *, name: str, check: Callable[[Inventory], None]
    ) -> tuple[StoredImage, Inventory]:
        """See `Workshop`."""
        repository, _, tag = name.rpartition(":")
        try:
            await self.engine.untag(build.tag)  # of a run that was killed
            await build_image(self.engine, build)
            inventory = await self._asked(build.tag)
            check(inventory)
            await self.engine.tag(build.tag, repository=repository, tag=tag)
        finally:
            await self.engine.untag(build.tag)
        return await store.adopt(name), inventory

    async def _asked(self, image: str) -> Inventory:
        script = self.wheel.scripts[0] if self.wheel.scripts else ""
        return await take_inventory(self.engine, image, package=self.wheel.name, script=script)


@dataclass(frozen=True, slots=True)
class NoWorkshop:
    """A place where nothing of an image can be run, as a pod without any privilege is: all that is known comes from registries."""

    layers: LayerReader
    stores: Callable[[str], RemoteStore]

    async def bases(self, template: Template, names: Sequence[str]) -> dict[str, str]:
        """See `Workshop`; raises BaseUnavailable for one that its registry refuses."""
        store = self.stores(template.platform)
        found: dict[str, str] = {}
        for name in names:
            try:
                reference = Reference.parse(name)
            except ValueError:  # an argument without a value: the build will say so
                continue
            with _served(name):
                found[name] = await _digest(store, reference, template.bases.get(name, ""))
        return found

    async def look_into(self, image: StoredImage, store: Store) -> Inventory:
        """See `Workshop`; its layers tell."""
        return await self.layers.inventory(_remote(store), image)

    def compiler(self, image: StoredImage, inventory: Inventory, store: Store) -> None:
        """See `Workshop`."""

    async def build(
        self, build: FullBuild, store: Store, *, name: str, check: Callable[[Inventory], None]
    ) -> tuple[StoredImage, Inventory]:
        """See `Workshop`."""
        del store, check
        raise FullBuildNeeded(
            f"{name} has to be built from {build.directory}, and there is no Docker Engine here."
        )


@dataclass(frozen=True, slots=True)
class BuildahWorkshop(NoWorkshop):
    """A place where Buildah builds, and has what it built tell what it holds; the rest is known from registries."""

    buildah: Buildah
    wheel: Wheel

    async def build(
        self, build: FullBuild, store: Store, *, name: str, check: Callable[[Inventory], None]
    ) -> tuple[StoredImage, Inventory]:
        """See `Workshop`. BuildForbidden: nothing can be built here."""
        remote = _remote(store)
        await self.buildah.prepare()
        bases = [await self._taken(remote, *base) for base in build.bases.items()]
        taken = {named: base.digest for named, base in zip(build.bases.values(), bases, strict=True)}
        flags = await self.buildah.build(build, taken)
        script = self.wheel.scripts[0] if self.wheel.scripts else ""
        inventory = await take_inventory(self.buildah, build.tag, package=self.wheel.name, script=script)
        check(inventory)
        async with self.buildah.laid_out(build.tag) as built:
            # The history has every step as it was run, with what was put before its command.
            config = json.loads(json.dumps(built.config).replace(f"{flags} ", ""))
            return await remote.put_built(built.layers, config, bases, name=name), inventory

    async def _taken(self, remote: RemoteStore, name: str, digest: str) -> StoredImage:
        with self.buildah.folder() as folder:
            with _served(name):
                base = await remote.lay_out(name, folder, digest=digest)
            await self.buildah.take(name, folder)
        return base


@contextmanager
def _served(base: str) -> Iterator[None]:
    """Tell a registry that refuses an image from one that is away."""
    try:
        yield
    except (NotFound, Unauthorized, Refused) as error:
        raise BaseUnavailable(f"Its base {base} cannot be had: {error}") from error


async def _digest(store: RemoteStore, base: Reference, wanted: str) -> str:
    return base.digest or wanted or await store.digest(base)


def _remote(store: Store) -> RemoteStore:
    if not isinstance(store, RemoteStore):
        raise TypeError("images of an engine are looked into there")
    return store
