"""Where images live: in one Docker Engine without any registry, or in registries. Both offer the same few verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from builder.engine import Engine, ImageNotFound
from builder.engine_config import image_config
from builder.loading import LayerBytes, Loadable, Loading
from builder.oci import Manifest, canonical_json, sha256_digest


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image where it lives.

    `digest` is its identity there: the image id in an engine, the manifest digest in a registry. `image_id` is the
    digest of its configuration, which is what an engine calls it after a pull. `config` is that configuration.
    """

    name: str
    digest: str
    image_id: str
    config: Mapping[str, Any]
    manifest: Manifest | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the image's labels."""
        return dict(self.config.get("config", {}).get("Labels") or {})


class Store(Protocol):
    """What a cascade needs of the place where images live."""

    async def find(self, name: str, *, digest: str = "") -> StoredImage | None:
        """Return an image by name, or by digest in that name's repository when given.

        None when there is none, or none for the store's platform.
        """

    async def put(
        self, base: StoredImage, layer: LayerBytes, config: Mapping[str, Any], *, name: str
    ) -> StoredImage:
        """Store an image of a base, one more layer and a configuration under a name; what is there is not sent.

        In a registry a name without a tag is allowed: the image then has its digest alone.
        """

    async def adopt(self, name: str) -> StoredImage:
        """Take an image that was just built in the engine under its name."""

    async def name_in_engine(self, image: StoredImage) -> str:
        """Return what the engine calls an image, fetching it when it is not there."""

    async def point(self, image: StoredImage, *, name: str) -> StoredImage:
        """Let a name (`repository:tag`) stand for an image; in a registry `repository` alone is its digest there."""


class EngineStore:
    """Images of one Docker Engine, without a registry."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loading = Loading(engine)

    async def find(self, name: str, *, digest: str = "") -> StoredImage | None:
        """See `Store`."""
        try:
            seen = await self._engine.inspect_image(digest or name)
            history = await self._engine.image_history(str(seen["Id"]))
        except ImageNotFound:
            return None
        return StoredImage(name, str(seen["Id"]), str(seen["Id"]), image_config(seen, history))

    async def put(
        self, base: StoredImage, layer: LayerBytes, config: Mapping[str, Any], *, name: str
    ) -> StoredImage:
        """See `Store`. The engine finds the layers that it has by their chain, so only the new one is sent."""
        raw = canonical_json(config)
        image = StoredImage(name, sha256_digest(raw), sha256_digest(raw), config)
        if await self._id(image.digest):
            return await self.point(image, name=name)
        await self._loading.add(Loadable(name, raw, layer, len(base.config["rootfs"]["diff_ids"])))
        return image

    async def adopt(self, name: str) -> StoredImage:
        """See `Store`."""
        found = await self.find(name)
        if found is None:
            raise ImageNotFound(f"The image {name} was built and is not there.")
        return found

    async def name_in_engine(self, image: StoredImage) -> str:
        """See `Store`."""
        return image.image_id

    async def point(self, image: StoredImage, *, name: str) -> StoredImage:
        """See `Store`."""
        if await self._id(name) != image.image_id:
            repository, _, tag = name.rpartition(":")
            await self._engine.tag(image.image_id, repository=repository, tag=tag)
        return StoredImage(name, image.digest, image.image_id, image.config)

    async def _id(self, name: str) -> str | None:
        try:
            return str((await self._engine.inspect_image(name))["Id"])
        except ImageNotFound:
            return None
