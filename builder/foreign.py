"""Full builds for platforms that the engine here cannot run: somebody else pushed them, and nothing of them is executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from builder.cascade_inputs import OtherPlatform, Template, Why
from builder.derived import LayerReader
from builder.inventory import Inventory, NotInventoried
from builder.made import Base, platform_of
from builder.remote_store import RemoteStore
from builder.stages.layer import is_appended
from builder.stores import StoredImage
from builder.wheel import Wheel


class FullBuildMissing(Exception):  # noqa: N818 -- the reason it is reported with
    """There is no full build for a platform; `str()` names both and what to do."""


class RequirementsChanged(Exception):  # noqa: N818 -- the reason it is reported with
    """A full build that cannot be made here lacks what the wheel needs; `str()` names both and what to do."""


class Foreign:
    """The full builds of one cascade for other platforms than the engine's."""

    def __init__(
        self, wheel: Wheel, stores: Callable[[str], RemoteStore], layers: LayerReader, *, out: Path
    ) -> None:
        self._wheel = wheel
        self._stores = stores
        self._out = out
        self._layers = layers

    def store(self, platform: str) -> RemoteStore:
        """Return where images of a platform are."""
        return self._stores(platform)

    async def base(self, template: Template, other: OtherPlatform) -> Base:
        """Return a template's full build for another platform.

        Raises:
            FullBuildMissing: there is none, or it is an image with a layer of ours.
            RequirementsChanged: it lacks what the wheel needs.
            NotInventoried: nobody can say what is in it.
        """
        image = await self.store(other.platform).find(other.full_build)
        if image is None:
            raise FullBuildMissing(
                f"There is no full build for {other.platform}: {other.full_build} does not exist, or has no image for "
                f"that platform. Build {template.directory} on such a machine and push it under this name."
            )
        if is_appended(image.config):
            raise FullBuildMissing(
                f"{other.full_build} is no full build for {other.platform}: a runtime was already appended to it. "
                "Let build.fullBuild name what the template's Dockerfile gives, as it was built."
            )
        inventory, file = await self._inventory(template, other, image)
        unmet = inventory.unmet(self._wheel.requires)
        if unmet:
            raise RequirementsChanged(
                f"The full build for {other.platform}, {other.full_build}, lacks what {self._wheel.version} needs: "
                f"{', '.join(map(str, unmet))}. Build it anew on such a machine, with these, and push it under the same name."
            )
        return Base(image, inventory, file, Why("WheelChanged"))

    async def index(self, images: Sequence[StoredImage], *, name: str) -> StoredImage:
        """Store the index of images that are in its repository; see `RemoteStore.put_index`."""
        return await self.store(platform_of(images[0])).put_index(images, name=name)

    async def _inventory(
        self, template: Template, other: OtherPlatform, image: StoredImage
    ) -> tuple[Inventory, Path]:
        own = self._out / template.name / f"inventory-{image.digest.removeprefix('sha256:')[:12]}.json"
        kept = other.inventory if other.known_digest == image.digest else None
        for file in (kept, own):
            if file and file.is_file():
                return Inventory.from_bytes(file.read_bytes()), file
        try:
            inventory = await self._layers.inventory(self.store(other.platform), image)
        except NotInventoried as error:
            raise NotInventoried(
                f"The full build for {other.platform}, {other.full_build}: {error}"
            ) from error
        return inventory, inventory.write(own)
