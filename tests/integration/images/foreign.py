"""Full builds for a machine that this one is not: images whose configuration says so, pushed by hand; nothing runs them."""

import asyncio
import gzip
import io
import json
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from builder.oci import (
    Client,
    Descriptor,
    Manifest,
    MediaType,
    Platform,
    Reference,
    canonical_json,
    sha256_digest,
)
from tests.parts.small_wheel import NAME

ARM = "linux/arm64"
T = TypeVar("T")


def copy_for_arm(source: str, name: str) -> str:
    """Push the image `source` again as `name`, as if it had been built for arm64; return its digest."""

    async def copy(client: Client) -> str:
        old, new = Reference.parse(source), Reference.parse(name)
        manifest = await client.image(old, Platform.parse("linux/amd64"))
        config = json.loads(await client.blob(old, manifest.config))
        config["architecture"] = "arm64"
        config["config"]["Labels"] = {"built-on": "another machine"}
        for layer in manifest.layers:
            assert await client.mount(new, layer.digest, old)
        return await _push(client, new, config, [layer.to_document() for layer in manifest.layers])

    return asyncio.run(_with_client(copy))


def push_small_arm(  # noqa: PLR0913 -- what may be different about it
    name: str,
    *,
    python: int = 11,
    packages: Mapping[str, str] | None = None,
    runtime: str = NAME,
    oci: bool = False,
    architecture: str = "arm64",
) -> str:
    """Push an image that holds little more than names: Python 3.`python`, the runtime 0.1.0; return its digest."""
    site = f"usr/local/lib/python3.{python}/site-packages"
    info = f"{runtime.replace('-', '_')}-0.1.0.dist-info"
    files = {
        f"usr/local/bin/python3.{python}": f"\x003.{python}.1\x00",
        "usr/local/bin/molecule-runtime": f"#!/usr/local/bin/python3.{python}\n",
        f"{site}/molecule_runtime/old.py": "",
        f"{site}/{info}/METADATA": f"Metadata-Version: 2.1\nName: {runtime}\nVersion: 0.1.0\n",
        f"{site}/{info}/RECORD": f"molecule_runtime/old.py,,\n../../../bin/molecule-runtime,,\n{info}/METADATA,,\n{info}/RECORD,,\n",
    }
    for other, version in (packages or {}).items():
        files[f"{site}/{other}-{version}.dist-info/METADATA"] = f"Name: {other}\nVersion: {version}\n"
    archive = _tar(files)
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Env": ["PATH=/usr/local/bin"], "Entrypoint": ["molecule-runtime"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256_digest(archive)]},
        "history": [{"created_by": "by hand"}],
    }

    async def push(client: Client) -> str:
        packed, reference = gzip.compress(archive, mtime=0), Reference.parse(name)
        await client.ensure_blob(reference, packed, digest=sha256_digest(packed))
        layer = Descriptor.of(MediaType.OCI_LAYER if oci else MediaType.DOCKER_LAYER, packed)
        return await _push(client, reference, config, [layer.to_document()], oci=oci)

    return asyncio.run(_with_client(push))


def push_index(name: str, **images: str) -> None:
    """Push an index with images of the same repository, by the names of their architectures."""

    async def push(client: Client) -> None:
        reference = Reference.parse(name)
        found = {
            Platform("linux", architecture): await client.manifest(reference.at(digest))
            for architecture, digest in images.items()
        }
        index = Manifest.index_of(found)
        await client.put_manifest(reference, index.raw, index.media_type)

    asyncio.run(_with_client(push))


def manifest(name: str) -> Manifest:
    """What a registry has under a name."""
    return asyncio.run(_with_client(lambda client: client.manifest(Reference.parse(name))))


def config_of(name: str) -> dict[str, Any]:
    """The configuration of an image, by its digest."""

    async def read(client: Client) -> dict[str, Any]:
        reference = Reference.parse(name)
        found: dict[str, Any] = json.loads(
            await client.blob(reference, (await client.manifest(reference)).config)
        )
        return found

    return asyncio.run(_with_client(read))


def files_of_last_layer(name: str) -> list[str]:
    """The paths in the last layer of an image, by its digest."""

    async def read(client: Client) -> list[str]:
        reference = Reference.parse(name)
        layer = (await client.manifest(reference)).layers[-1]
        with tarfile.open(fileobj=io.BytesIO(await client.blob(reference, layer))) as tar:
            return tar.getnames()

    return asyncio.run(_with_client(read))


async def _with_client(work: Callable[[Client], Awaitable[T]]) -> T:
    async with Client(insecure=True) as client:
        return await work(client)


async def _push(
    client: Client, reference: Reference, config: Mapping[str, Any], layers: list[Any], *, oci: bool = False
) -> str:
    raw = canonical_json(config)
    await client.ensure_blob(reference, raw, digest=sha256_digest(raw))
    family = MediaType.OCI_MANIFEST if oci else MediaType.DOCKER_MANIFEST
    kind = MediaType.OCI_CONFIG if oci else MediaType.DOCKER_CONFIG
    document = {
        "schemaVersion": 2,
        "mediaType": family,
        "config": Descriptor.of(kind, raw).to_document(),
        "layers": layers,
    }
    return await client.put_manifest(reference, canonical_json(document), family)


def _tar(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return archive.getvalue()
