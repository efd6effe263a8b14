"""The real templates on a desk of their own."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.desk import Desk
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index
from tests.parts.leftovers import remove_leftovers
from tests.parts.template import copied_out


class Bench:
    """A desk whose document asks for templates of this repository, as they are."""

    def __init__(self, folder: Path, *, engine: str, index: Index, base_image: str) -> None:
        self._folder, self._engine, self._index, self._base = folder, engine, index, base_image
        self.desks: list[Desk] = []

    def lay_out(self, *templates: str, **probe: Any) -> Desk:  # noqa: ANN401 - fields of the document
        """Make a desk that asks for 0.1.0 in these templates, each booted as `probe` says."""
        prefix = f"ta{secrets.token_hex(3)}-"
        desk = Desk(self._folder / prefix.rstrip("-"), prefix)
        self.desks.append(desk)
        for name in templates:
            copied_out(name, desk.folder / "templates")
        desk.write_secret("index", username=self._index.username, password=self._index.password)
        desk.document.write_text(yaml.safe_dump(self._document(prefix, templates, probe)))
        return desk

    def _document(self, prefix: str, templates: tuple[str, ...], probe: dict[str, Any]) -> dict[str, Any]:
        index = {
            "uploadURL": self._index.upload_url,
            "simpleURL": self._index.simple_url,
            "credentialsSecretName": "index",
        }
        entries = [
            {
                "name": name,
                "image": f"{prefix}{name}",
                "startDeadlineSeconds": 120,
                "build": {"directory": f"templates/{name}", "args": {"BASE_IMAGE": self._base}},
                "probe": probe,
            }
            for name in templates
        ]
        host = {"name": "local", "endpoint": self._engine, "containerPrefix": prefix}
        spec = {
            "version": "0.1.0",
            "source": {"directory": str(REPOSITORY / "workspace")},
            "package": {"index": index},
            "registry": {"mode": "Engine", "artifacts": f"{prefix}records"},
            "templates": entries,
            "targets": {"dockerHosts": [host]},
        }
        return {
            "apiVersion": "runtime.molecule.ai/v1alpha1",
            "kind": "WorkspaceRuntime",
            "metadata": {"name": f"{prefix}runtime"},
            "spec": spec,
        }


@pytest.fixture(scope="module")
def bench(
    engine: str, devpi: Index, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("desks"), engine=engine, index=devpi, base_image=base_image)
    try:
        yield bench
    finally:
        for desk in bench.desks:
            desk.close()
            remove_leftovers(engine, desk.prefix)
