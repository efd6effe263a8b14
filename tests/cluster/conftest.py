"""A workspace image in the cluster's registry, made once for all tests of this folder."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.cluster.cluster import Cluster
from tests.integration.images.small import Run, template_entry
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index
from tests.parts.leftovers import remove_leftovers
from tests.parts.small_wheel import SmallWheel

_TEMPLATE = REPOSITORY / "tests" / "demo" / "templates" / "echo"


@dataclass(frozen=True)
class WorkspaceImage:
    """An image with the real runtime, as a pod's `image` names it, and whether it was built in full or appended."""

    reference: str
    version: str
    content_sha256: str
    built: str


@pytest.fixture(scope="session")
def workspace_image(
    cluster: Cluster, engine: str, base_image: str, devpi: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkspaceImage]:
    """Runtime 0.1.1 appended to a full build of 0.1.0, in the cluster's registry."""
    prefix = f"tk{secrets.token_hex(3)}-"
    folder = tmp_path_factory.mktemp("image")
    entry = template_entry("echo", f"{cluster.registry}/{prefix}echo", _TEMPLATE, base=base_image)
    run = Run(engine, folder / "out", "Remote", {"insecure": True}, {"url": devpi.simple_url})
    try:
        run.cascade(_wheel(folder, "0.1.0"), entry).template("echo")
        wheel = _wheel(folder, "0.1.1")
        made = run.cascade(wheel, entry).template("echo")
        yield WorkspaceImage(
            f"{entry['image']}@{made['digest']}", wheel.version, wheel.content_sha256, made["built"]
        )
    finally:
        remove_leftovers(engine, prefix)


def _wheel(folder: Path, version: str) -> SmallWheel:
    """The runtime as it is now."""
    home = folder / version
    given = PackageRun(
        source=REPOSITORY / "workspace", version=version, out=home / "tree", dist=home / "dist"
    )
    facts = package(given).facts
    return SmallWheel(Path(facts["wheel"]["file"]), version, facts["wheel"]["sha256"], facts["contentSha256"])
