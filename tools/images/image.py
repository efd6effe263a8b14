"""One image from its recipe: layers that are made or found in a cache, and a push into a registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from builder.oci import Blob, Client, Descriptor, MediaType, Reference, canonical_json
from builder.stages import bytecode_script
from tools.images.debian import write_debian_tar
from tools.images.layers import Layer, tree_entries, write_tar
from tools.images.python_packages import ROOT, expect_python, installed, own, requirements, sources_of
from tools.images.recipes import USER, Recipe

_CREATED: Final = "1970-01-01T00:00:00Z"
"""Fixed, as the times of all files are."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What images are made with: uv and mmdebstrap, and apt's line that says where Debian is."""

    uv: str
    mmdebstrap: str
    debian: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image, not pushed yet: its layers, lowest first, and its configuration."""

    layers: tuple[Layer, ...]
    config: Blob

    @property
    def manifest(self) -> bytes:
        """The manifest's bytes, whose digest names the image."""
        layers = [Descriptor(MediaType.OCI_LAYER, layer.digest, layer.size) for layer in self.layers]
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MediaType.OCI_MANIFEST,
                "config": self.config.descriptor.to_document(),
                "layers": [layer.to_document() for layer in layers],
            }
        )

    async def push(self, client: Client, reference: Reference) -> str:
        """Push it and return its digest; what the registry has is not sent."""
        await asyncio.gather(
            client.ensure_blob(reference, self.config.data, digest=self.config.descriptor.digest),
            *(client.ensure_blob(reference, layer.file, digest=layer.digest) for layer in self.layers),
        )
        return await client.put_manifest(reference, self.manifest, MediaType.OCI_MANIFEST)


def make_image(recipe: Recipe, cache: Path, programs: Programs, *, architecture: str) -> Image:
    """Make an image for ``linux/<architecture>``; layers are kept in `cache` by what they are made of.

    The Debian packages are those of the day on which that layer was made; empty the cache for newer ones.

    Raises:
        DebianFailed: there is no Debian where `programs` say.
        PackagesFailed: Python packages cannot be had, or another Python runs this than the images have.
    """
    expect_python()
    wanted = requirements(recipe, programs.uv)

    def debian(_: Path, tar: Path) -> None:
        write_debian_tar(recipe.packages, tar, source=programs.debian, mmdebstrap=programs.mmdebstrap)

    def dependencies(folder: Path, tar: Path) -> None:
        files = installed(wanted, folder / "site", uv=programs.uv, architecture=architecture)
        write_tar(tar, tree_entries(files))

    def ours(folder: Path, tar: Path) -> None:
        write_tar(tar, tree_entries(own(recipe, folder)))

    sources = [_hash(file.read_bytes().hex() for file in sources_of(recipe)), *map(str, sources_of(recipe))]
    layers = (
        _kept(cache, "debian", (*recipe.packages, programs.debian, _code("debian")), debian),
        _kept(cache, "dependencies", (wanted, architecture, _code("python_packages")), dependencies),
        _kept(cache, "ours", (*sources, _code("python_packages")), ours),
    )
    return Image(layers, Blob(MediaType.OCI_CONFIG, canonical_json(_config(recipe, layers, architecture))))


def _kept(cache: Path, name: str, made_of: Iterable[str], make: Callable[[Path, Path], None]) -> Layer:
    """Return a layer that is in the cache, or make it there."""
    file = cache / f"{name}-{_hash(made_of)[:16]}.tar.gz"
    if file.exists():
        return Layer.read(file)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        make(Path(aside), Path(aside) / "layer.tar")
        return Layer.of(Path(aside) / "layer.tar", file)


def _code(module: str) -> str:
    """Return what makes a layer, which is part of what it depends on."""
    names = (module, "byte_code", "layers", "recipes")
    files = (*(Path(__file__).with_name(f"{name}.py") for name in names), Path(bytecode_script.__file__))
    return "".join(file.read_text() for file in files)


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()


def _config(recipe: Recipe, layers: Sequence[Layer], architecture: str) -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = {"title": recipe.title, "version": project["version"], "licenses": project["license"]}
    steps = ("Debian packages", "Python packages of the lock file", " and ".join(recipe.ours))
    return {
        "architecture": architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": list(recipe.environment),
            "Entrypoint": list(recipe.entrypoint),
            "WorkingDir": "/",
            "Labels": {f"org.opencontainers.image.{name}": value for name, value in labels.items()},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": _CREATED, "created_by": step} for step in steps],
    }
