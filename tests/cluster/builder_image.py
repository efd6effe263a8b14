"""The builder's image for tests: a base image with one layer more, made of this environment's packages and our sources.

Equal sources and packages make equal bytes. `python -m builder.job` runs in it as nobody in particular.
"""

import asyncio
import gzip
import io
import json
import re
import tarfile
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.oci import Blob, Client, MediaType, Platform, Reference, canonical_json, sha256_digest
from builder.stages.bytecode_script import byte_code
from tests.cluster.cluster import Cluster
from tests.parts.ground import REPOSITORY

_HOME = "opt/builder"
_USER = "65532:65532"
_PYTHON = "cpython-311"


def push_builder_image(cluster: Cluster, engine: str, base_image: str) -> str:
    """Push the image to the cluster's registry and return its name for a pod.

    Args:
        cluster: whose registry it goes to.
        engine: endpoint of the engine that has the base.
        base_image: an image with Python 3.11.
    """
    base = cluster.push_from_engine(engine, base_image, "base/python:3.11")
    reference = Reference.parse(f"{cluster.registry}/base/python:builder")
    digest = asyncio.run(_append(Reference.parse(base), reference))
    return f"{cluster.registry}/base/python@{digest}"


async def _append(base: Reference, reference: Reference) -> str:
    tar = _layer()
    layer = Blob(MediaType.DOCKER_LAYER, gzip.compress(tar, compresslevel=1, mtime=0))
    async with Client(insecure=True) as client:
        manifest = await client.image(base, Platform.here())
        config = json.loads(await client.blob(base, manifest.config))
        config["rootfs"]["diff_ids"].append(sha256_digest(tar))
        config["history"] = [*config.get("history", []), {"created_by": "the builder"}]
        config["config"] |= {
            "Env": [*config["config"].get("Env", []), f"PYTHONPATH=/{_HOME}", "PYTHONDONTWRITEBYTECODE=1"],
            "User": _USER,
            "Cmd": ["python", "-m", "builder"],
        }
        described = Blob(manifest.config.media_type, canonical_json(config))
        for blob in (layer, described):
            await client.ensure_blob(reference, blob.data, digest=blob.descriptor.digest)
        layers = [*(each.to_document() for each in manifest.layers), layer.descriptor.to_document()]
        document = {
            "schemaVersion": 2,
            "mediaType": manifest.media_type,
            "config": described.descriptor.to_document(),
            "layers": layers,
        }
        return await client.put_manifest(reference, canonical_json(document), manifest.media_type)


@cache
def _layer() -> bytes:
    """One tar of all files, with byte code: a start must not compile them."""
    files = dict(sorted(_files()))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            _add(tar, f"{_HOME}/{name}", content)
            if name.endswith(".py"):
                module = Path(name)
                compiled = module.parent / "__pycache__" / f"{module.stem}.{_PYTHON}.pyc"
                _add(tar, f"{_HOME}/{compiled}", byte_code(content, f"/{_HOME}/{name}"))
    return archive.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _files() -> Iterator[tuple[str, bytes]]:
    for file in (REPOSITORY / "builder").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield str(file.relative_to(REPOSITORY)), file.read_bytes()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    seen: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in project["dependency-groups"]["builder"]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen[name] = found = distribution(name)
        waiting.extend(Requirement(text) for text in found.requires or ())
        for path in found.files or ():
            place = Path(str(found.locate_file(path)))
            if ".." not in path.parts and not re.search(r"\.pyc$|/RECORD$", str(path)) and place.is_file():
                yield path.as_posix(), place.read_bytes()
