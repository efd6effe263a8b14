"""Images of registries, for one platform; what an engine built is pushed, what it needs is pulled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from builder.engine import Engine, EngineError, EngineUnavailable, ImageNotFound
from builder.loading import LayerBytes
from builder.oci import (
    Client,
    Credentials,
    Descriptor,
    Manifest,
    MediaType,
    NotFound,
    Platform,
    Reference,
    RegistryError,
    Unavailable,
    canonical_json,
    sha256_digest,
)
from builder.stores import Pusher, StoredImage


@dataclass(frozen=True, slots=True)
class Access:
    """A client of registries, and the credentials that it shows: an engine that pushes or pulls for us shows them, too."""

    client: Client
    credentials: Credentials


class RemoteStore:
    """Images of registries for one platform; the engine is needed only where something is built or run."""

    def __init__(
        self, writing: Access, engine: Engine | None, *, platform: Platform, reading: Access | None = None
    ) -> None:
        """`reading` is what images are looked for and fetched with, where that is not what writes them.

        Without an `engine` nothing can be adopted from it or fetched into it.
        """
        self._writing = writing
        self._reading = reading or writing
        self._client = writing.client
        self._engine = engine
        self._platform = platform
        self._sent: dict[tuple[str, str], asyncio.Task[Reference]] = {}

    def of(self, platform: Platform) -> RemoteStore:
        """Return the store of another platform; what one of them has sent the other does not send again."""
        other = RemoteStore(self._writing, self._engine, platform=platform, reading=self._reading)
        other._sent = self._sent
        return other

    async def download(self, image: StoredImage, layer: Descriptor, file: IO[bytes]) -> None:
        """Write a layer of an image to an open file, as it is stored."""
        await self._reading.client.download(Reference.parse(image.name), layer, file)

    async def digest(self, reference: Reference) -> str:
        """Return what a name stands for now; raises NotFound."""
        return (await self._reading.client.head(reference)).digest

    async def find(self, name: str, *, digest: str = "") -> StoredImage | None:
        """See `Store`."""
        reference, client = Reference.parse(name), self._reading.client
        try:
            manifest = await client.image(reference.at(digest) if digest else reference, self._platform)
            config = json.loads(await client.blob(reference, manifest.config))
        except NotFound:
            return None
        if not self._platform.takes(Platform.of(config)):
            return None
        return StoredImage(name, manifest.digest, manifest.config.digest, config, manifest)

    async def put(
        self, base: StoredImage, layer: LayerBytes, config: Mapping[str, Any], *, name: str
    ) -> StoredImage:
        """See `Store`. Our layer is sent to one repository and mounted to others; those of the base come likewise."""
        reference, raw = Reference.parse(name), canonical_json(config)
        manifest = _manifest_on(_manifest(base), layer, raw)
        reference = reference if reference.tag else reference.at(manifest.digest)
        if not await self._is(reference, manifest.digest):
            config_digest = sha256_digest(raw)
            await asyncio.gather(
                self._bring(base, reference, _manifest(base).layers),
                self._send(reference, layer),
                self._client.ensure_blob(reference, raw, digest=config_digest),
            )
            await self._client.put_manifest(reference, manifest.raw, manifest.media_type)
        return StoredImage(name, manifest.digest, manifest.config.digest, config, manifest)

    async def put_index(self, images: Sequence[StoredImage], *, name: str) -> StoredImage:
        """Store the index of images that are in its repository, one for each platform.

        Its image id and configuration are those of the first image: the one that the engine here takes from it.
        """
        first, reference = images[0], Reference.parse(name)
        index = Manifest.index_of({Platform.of(image.config): _manifest(image) for image in images})
        if not await self._is(reference, index.digest):
            await self._client.put_manifest(reference, index.raw, index.media_type)
        return StoredImage(name, index.digest, first.image_id, first.config, index)

    async def adopt(self, name: str) -> StoredImage:
        """See `Store`: the engine pushes what it built."""
        return await self.adopt_from(self._there, name)

    async def adopt_from(self, builder: Pusher, name: str) -> StoredImage:
        """Have an image pushed by what has built it, and take it from the registry."""
        reference = Reference.parse(name)
        repository, _, tag = name.rpartition(":")
        credential = await self._writing.credentials.for_host(reference.host)
        try:
            await builder.push(repository, tag, credential=credential)
        except EngineUnavailable:
            raise
        except EngineError as error:
            # It tells in words only what the registry said; what it means, the registry tells us.
            await self._client.upload(reference, b"{}", digest=sha256_digest(b"{}"))
            raise Unavailable(str(error)) from error
        found = await self.find(name)
        if found is None:
            raise NotFound(f"{name} was pushed and is not there.")
        return found

    async def redescribe(self, image: StoredImage, config: Mapping[str, Any], *, name: str) -> StoredImage:
        """Store an image of the same layers with another configuration under a name, and remove the name that it had."""
        raw, manifest = canonical_json(config), _manifest(image)
        reference = Reference.parse(name)
        document = json.loads(manifest.raw)
        document["config"] = Descriptor.of(manifest.config.media_type, raw).to_document()
        described = Manifest.from_bytes(canonical_json(document), manifest.media_type, where="the new image")
        await self._client.ensure_blob(reference, raw, digest=sha256_digest(raw))
        await self._client.put_manifest(reference, described.raw, manifest.media_type)
        if described.digest != image.digest:
            with contextlib.suppress(RegistryError):  # one that allows no deletion keeps it
                await self._client.delete(reference, image.digest)
        return StoredImage(name, described.digest, described.config.digest, config, described)

    async def name_in_engine(self, image: StoredImage) -> str:
        """See `Store`."""
        reference = Reference.parse(image.name)
        exact = f"{reference.name}@{image.digest}"
        try:
            await self._there.inspect_image(exact)
        except ImageNotFound:
            credential = await self._reading.credentials.for_host(reference.host)
            await self._there.pull(exact, credential=credential)
        return exact

    async def point(self, image: StoredImage, *, name: str) -> StoredImage:
        """See `Store`."""
        reference, manifest = Reference.parse(name), _manifest(image)
        reference = reference if reference.tag else reference.at(image.digest)
        if not await self._is(reference, image.digest):
            await self._bring(image, reference, (manifest.config, *manifest.layers))
            await self._client.put_manifest(reference, manifest.raw, manifest.media_type)
        return StoredImage(name, image.digest, image.image_id, image.config, image.manifest)

    @property
    def _there(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("there is no engine")
        return self._engine

    async def _is(self, reference: Reference, digest: str) -> bool:
        try:
            return await self.digest(reference) == digest
        except NotFound:
            return False

    async def _bring(self, image: StoredImage, repository: Reference, blobs: Iterable[Descriptor]) -> None:
        """Make blobs of an image appear in a repository: as a rule it is the image's own, and there is nothing to do."""
        source = Reference.parse(image.name)
        if source.name != repository.name:
            await asyncio.gather(*(self._bring_blob(blob, source, repository) for blob in blobs))

    async def _bring_blob(self, blob: Descriptor, source: Reference, repository: Reference) -> None:
        if await self._client.has_blob(repository, blob.digest) or (
            source.host == repository.host and await self._client.mount(repository, blob.digest, source)
        ):
            return
        with tempfile.NamedTemporaryFile(prefix="wsr-blob-") as file:
            await self._reading.client.download(source, blob, file)
            file.flush()
            await self._client.upload(repository, Path(file.name), digest=blob.digest)

    async def _send(self, repository: Reference, layer: LayerBytes) -> None:
        """Upload the layer to the first repository that needs it; mount it from there into the others."""
        key = (repository.host, layer.digest)
        first = self._sent.get(key)
        if first is None:
            first = self._sent[key] = asyncio.create_task(self._upload(repository, layer))
        source = await asyncio.shield(first)
        if source.repository != repository.repository and not await self._client.mount(
            repository, layer.digest, source
        ):
            await self._upload(repository, layer)

    async def _upload(self, repository: Reference, layer: LayerBytes) -> Reference:
        await self._client.ensure_blob(repository, layer.compressed, digest=layer.digest)
        return repository


def _manifest(image: StoredImage) -> Manifest:
    if image.manifest is None:
        raise ValueError(f"{image.name} was not read from a registry")
    return image.manifest


def _manifest_on(base: Manifest, layer: LayerBytes, config: bytes) -> Manifest:
    """Return the manifest of base and layer, in the family of the base."""
    docker = base.media_type == MediaType.DOCKER_MANIFEST
    layer_type = MediaType.DOCKER_LAYER if docker else MediaType.OCI_LAYER
    config_type = MediaType.DOCKER_CONFIG if docker else MediaType.OCI_CONFIG
    added = Descriptor(layer_type, layer.digest, len(layer.compressed))
    document = {
        "schemaVersion": 2,
        "mediaType": base.media_type,
        "config": Descriptor.of(config_type, config).to_document(),
        "layers": [below.to_document() for below in (*base.layers, added)],
    }
    return Manifest.from_bytes(canonical_json(document), base.media_type, where="the new image")
