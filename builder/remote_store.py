"""Images of registries, for one platform; what an engine built is pushed, what it needs is pulled."""

from __future__ import annotations

import asyncio
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
    Unavailable,
    canonical_json,
    sha256_digest,
)
from builder.stores import StoredImage


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
        below = _manifest(base)
        manifest = _manifest_of(below.media_type, raw, below.layers, [(layer.digest, len(layer.compressed))])
        reference = reference if reference.tag else reference.at(manifest.digest)
        if not await self._is(reference, manifest.digest):
            config_digest = sha256_digest(raw)
            await asyncio.gather(
                self._bring(base, reference, below.layers),
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
        reference = Reference.parse(name)
        repository, _, tag = name.rpartition(":")
        credential = await self._writing.credentials.for_host(reference.host)
        try:
            await self._there.push(repository, tag, credential=credential)
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

    async def lay_out(self, name: str, folder: Path, *, digest: str) -> StoredImage:
        """Write an image into a folder: its manifest, and blobs by the hex digits of their digests. Raises NotFound."""
        reference, client = Reference.parse(name), self._reading.client
        manifest = await client.image(reference.at(digest), self._platform)
        (folder / "version").write_text("Directory Transport Version: 1.1\n")
        (folder / "manifest.json").write_bytes(manifest.raw)
        for blob in {each.digest: each for each in (manifest.config, *manifest.layers)}.values():
            with (folder / blob.digest.removeprefix("sha256:")).open("wb") as file:
                await client.download(reference, blob, file)
        config = json.loads((folder / manifest.config.digest.removeprefix("sha256:")).read_bytes())
        return StoredImage(name, manifest.digest, manifest.config.digest, config, manifest)

    async def put_built(
        self,
        layers: Sequence[tuple[Descriptor, Path]],
        config: Mapping[str, Any],
        bases: Iterable[StoredImage],
        *,
        name: str,
    ) -> StoredImage:
        """Store an image whose layers lie in files; those of the base that it begins with are brought from there as they are."""
        reference, raw = Reference.parse(name), canonical_json(config)
        begun = [base for base in bases if _begins_with(config, base)]
        base = max(begun, key=lambda each: len(_diff_ids(each.config)), default=None)
        below = _manifest(base).layers if base else ()
        family = _manifest(base).media_type if base else MediaType.DOCKER_MANIFEST
        own = layers[len(below) :]
        if base:
            await self._bring(base, reference, below)
        for layer, file in own:
            await self._client.ensure_blob(reference, file, digest=layer.digest)
        await self._client.ensure_blob(reference, raw, digest=sha256_digest(raw))
        manifest = _manifest_of(family, raw, below, [(layer.digest, layer.size) for layer, _ in own])
        await self._client.put_manifest(reference, manifest.raw, manifest.media_type)
        return StoredImage(name, manifest.digest, manifest.config.digest, config, manifest)

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


def _diff_ids(config: Mapping[str, Any]) -> list[str]:
    return list(config["rootfs"]["diff_ids"])


def _begins_with(config: Mapping[str, Any], base: StoredImage) -> bool:
    """Whether an image has the layers of a base, and others upon them or none."""
    below = _diff_ids(base.config)
    return _diff_ids(config)[: len(below)] == below


def _manifest_of(
    family: str, config: bytes, below: Iterable[Descriptor], own: Iterable[tuple[str, int]]
) -> Manifest:
    """Return the manifest of a base's layers and our own (digest and size, compressed), in the family of the base."""
    docker = family == MediaType.DOCKER_MANIFEST
    layer_type = MediaType.DOCKER_LAYER if docker else MediaType.OCI_LAYER
    config_type = MediaType.DOCKER_CONFIG if docker else MediaType.OCI_CONFIG
    added = [Descriptor(layer_type, digest, size) for digest, size in own]
    document = {
        "schemaVersion": 2,
        "mediaType": family,
        "config": Descriptor.of(config_type, config).to_document(),
        "layers": [layer.to_document() for layer in (*below, *added)],
    }
    return Manifest.from_bytes(canonical_json(document), family, where="the new image")
