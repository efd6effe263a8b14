"""Somebody else's CI: builds a template's image from the index as their Dockerfile does, and pushes it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.parts.index import Index

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Ci:
    """The CI of one template. `image` is the repository that it pushes to, `folder` where it works."""

    client: docker.DockerClient
    index: Index
    image: str
    base_image: str
    folder: Path

    def push(self, version: str, *, tag: str = "latest", labels: dict[str, str] | None = None) -> str:
        """Build the image of a version, push it, and return its digest."""
        folder = self.folder / f"{self.image.rpartition('/')[2]}-{version}-{tag}"
        shutil.copytree(_HERE / "templates" / "plain", folder)
        dockerfile = folder / "Dockerfile"
        options = f"--index-url {self.index.simple_url} --trusted-host {self.index.host}"
        text = dockerfile.read_text().replace("pip install", f"pip install {options}")
        dockerfile.write_text(text)
        (folder / "requirements.txt").write_text(f"molecule-ai-workspace-runtime=={version}\n")
        built, _ = self.client.images.build(
            path=str(folder),
            tag=f"{self.image}:{tag}",
            buildargs={"BASE_IMAGE": self.base_image},
            labels=labels or {},
            rm=True,
            nocache=True,
        )
        said = self.client.images.push(self.image, tag=tag, stream=True, decode=True)
        errors = [line["error"] for line in said if "error" in line]
        assert not errors, errors
        digest = self.client.images.get_registry_data(f"{self.image}:{tag}").id
        self.client.images.remove(str(built.id), force=True)
        return str(digest)
