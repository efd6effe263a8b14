"""Somebody else's CI: builds a template's image from the index as their Dockerfile does, and pushes it."""

import io
import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import docker

from tests.parts.index import Index

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ci:
    """The CI of some templates. `images` are the repositories that it pushes to, `folder` where it works."""

    client: docker.DockerClient
    index: Index
    images: Mapping[str, str]
    base_image: str
    folder: Path
    _count: "itertools.count[int]" = field(default_factory=itertools.count, init=False)

    def push(self, version: str, *templates: str, tag: str = "latest") -> dict[str, str]:
        """Build a version's image for each of the templates, push it, and return the digests by template."""
        folder = self.folder / str(next(self._count))
        shutil.copytree(_HERE / "templates" / "plain", folder)
        dockerfile = folder / "Dockerfile"
        options = f"--index-url {self.index.simple_url} --trusted-host {self.index.host}"
        text = dockerfile.read_text().replace("pip install", f"pip install {options}")
        dockerfile.write_text(text)
        (folder / "requirements.txt").write_text(f"molecule-ai-workspace-runtime=={version}\n")
        arguments, built = {"BASE_IMAGE": self.base_image}, f"{self.images[templates[0]]}:built"
        self.client.images.build(path=str(folder), tag=built, buildargs=arguments, rm=True, nocache=True)
        digests = {name: self._push(f"{self.images[name]}:{tag}", built) for name in templates}
        self.client.images.remove(built, force=True)
        return digests

    def _push(self, name: str, built: str) -> str:
        """Push an image that was built once for several, with a digest of its own."""
        only = io.BytesIO(f"FROM {built}\nLABEL made.for={name}".encode())
        image, _ = self.client.images.build(fileobj=only, tag=name, rm=True)
        said = self.client.images.push(name, stream=True, decode=True)
        errors = [line["error"] for line in said if "error" in line]
        assert not errors, errors
        digest = str(self.client.images.get_registry_data(name).id)
        self.client.images.remove(str(image.id), force=True)
        return digest
