"""Images of the small stand-in runtime: one per version, fault and extra instructions, built in the engine on demand."""

import hashlib
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.parts.build_context import build_context
from tests.parts.leftovers import remove_leftovers

_PROGRAM = Path(__file__).with_name("stand_in_runtime.py")


@dataclass(frozen=True)
class StandInImage:
    """One image: `reference` in the engine, its id there, and what its process reports."""

    reference: str
    id: str
    version: str
    content_sha256: str


class StandIns:
    """Builds stand-in images under one repository of its own."""

    def __init__(self, client: docker.DockerClient, base: str, repository: str) -> None:
        self.repository = repository
        self._client = client
        self._base = base
        self._built: dict[str, StandInImage] = {}

    def image(self, version: str, *, fault: str = "", extra: str = "", name: str = "") -> StandInImage:
        """The image of a version; `extra` are more Dockerfile lines, `name` another template than the usual."""
        content = hashlib.sha256(version.encode()).hexdigest()
        dockerfile = (
            f"FROM {self._base}\n"
            "COPY molecule-runtime /usr/local/bin/molecule-runtime\n"
            'EXPOSE 8000\nCMD ["molecule-runtime"]\n'
            f"{extra}\n"
            f"LABEL ai.molecule.runtime.version={version} ai.molecule.runtime.content-sha256={content}\n"
            f"ENV RUNTIME_VERSION={version} RUNTIME_CONTENT={content} FAULT={fault}\n"
        )
        key = f"{name}{dockerfile}"
        if key not in self._built:
            tag = f"{version}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
            reference = f"{self.repository}{name and f'-{name}'}:{tag}"
            self._build(dockerfile, reference)
            found = self._client.images.get(reference)
            self._built[key] = StandInImage(reference, str(found.id), version, content)
        return self._built[key]

    def _build(self, dockerfile: str, reference: str) -> None:
        context = build_context(dockerfile, {"molecule-runtime": _PROGRAM}, filter=_executable)
        for line in self._client.api.build(
            fileobj=context, custom_context=True, tag=reference, rm=True, decode=True
        ):
            if "error" in line:
                raise RuntimeError(f"building {reference}: {line['error']}")


def _executable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    return entry.replace(mode=0o755)


@contextmanager
def stand_ins(endpoint: str, base: str) -> Iterator[StandIns]:
    """Stand-in images for as long as the context lasts; those built are removed with it."""
    prefix = f"stand-in-{secrets.token_hex(3)}"
    client = docker.DockerClient(base_url=endpoint)
    try:
        yield StandIns(client, base, prefix)
    finally:
        client.close()
        remove_leftovers(endpoint, prefix)
