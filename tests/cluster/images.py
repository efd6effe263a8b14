"""Puts images into a registry: from this machine's engine, or made of one program that needs nothing beside it."""

import asyncio
import gzip
import io
import json
import tarfile
from pathlib import Path

import docker
from docker.errors import DockerException

from builder.oci import Blob, Client, MediaType, Platform, Reference, canonical_json, sha256_digest
from tests.parts.ground import PartError

"""What images call what the kernel calls otherwise."""


def push_program(reference: str, program: Path) -> None:
    """Push an image with nothing in it but a program, which is its entrypoint. Equal programs make equal images."""
    asyncio.run(_push(Reference.parse(reference), program))


def push_from_engine(engine: str, image: str, reference: str) -> str:
    """Push an image of the engine under another name and return its digest there.

    Args:
        engine: endpoint of the engine.
        image: what it is called there.
        reference: `host:port/repository:tag`; the engine must reach the registry under this name.

    Raises:
        PartError: the engine or the registry refuses it.
    """
    repository, _, tag = reference.rpartition(":")
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        client.images.get(image).tag(repository, tag)
        try:
            lines = [json.loads(line) for line in client.images.push(repository, tag).splitlines()]
        finally:
            client.images.remove(reference, noprune=True)
    except DockerException as error:
        raise PartError(f"The engine at {engine} did not push {image} as {reference}: {error}") from error
    finally:
        client.close()
    for line in lines:
        if "error" in line:
            raise PartError(f"The engine at {engine} did not push {image} as {reference}: {line['error']}")
    return next(str(line["aux"]["Digest"]) for line in lines if "Digest" in line.get("aux", {}))


async def _push(reference: Reference, program: Path) -> None:
    tar = _layer(program)
    config = {
        "architecture": Platform.here().architecture,
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256_digest(tar)]},
    }
    layer = Blob(MediaType.OCI_LAYER, gzip.compress(tar, compresslevel=1, mtime=0))
    described = Blob(MediaType.OCI_CONFIG, canonical_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": described.descriptor.to_document(),
        "layers": [layer.descriptor.to_document()],
    }
    async with Client(insecure=True) as client:
        for blob in (layer, described):
            await client.ensure_blob(reference, blob.data, digest=blob.descriptor.digest)
        await client.put_manifest(reference, canonical_json(manifest), MediaType.OCI_MANIFEST)


def _layer(program: Path) -> bytes:
    entry = tarfile.TarInfo(program.name)
    entry.size, entry.mode = program.stat().st_size, 0o755
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive, program.open("rb") as content:
        archive.addfile(entry, content)
    return file.getvalue()
