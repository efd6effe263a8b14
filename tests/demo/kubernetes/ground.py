"""A cluster with what a team has before it begins: the images of operator and builder, and each template's full build."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.cluster import build, node
from tests.cluster.cluster import Cluster, cluster_of
from tests.cluster.place import Place
from tests.integration.images.small import Run, template_entry
from tests.parts.index import Index
from tests.parts.leftovers import remove_leftovers
from tests.parts.our_images import push_our_image
from tests.parts.small_wheel import SmallWheel

_NOTABLE_SECONDS = 1.0
TOOLS = ("workspace-runtime-operator", "workspace-runtime-builder")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ground:
    """A running cluster. What it has in its registry is named as this machine and the node do; `inside` is as pods do."""

    cluster: Cluster
    prefix: str
    tools: Mapping[str, str]
    """The images of operator and builder, each with its digest."""
    base: str

    def repository(self, name: str) -> str:
        """The image repository of a template as pods name it."""
        return f"{self.cluster.registry_inside}/{self.prefix}{name}"

    def chart_values(self) -> Iterator[str]:
        """What the chart is told about the images."""
        for key, name in zip(("image", "builderImage"), TOOLS, strict=True):
            repository, _, digest = self.tools[name].partition("@")
            yield f"{key}.repository={repository},{key}.digest={digest}"


@contextmanager
def running_cluster(place: Place, *, keep: bool, say: Say) -> Iterator[Cluster]:
    """A new cluster in a state folder, of which nothing is left unless it is to be kept.

    Raises:
        PartError: it does not come up, or somebody uses the folder.
    """
    _build_programs(say)
    node.sweep()
    with node.alone(place):
        node.wipe(place)
        done = False
        try:
            node.start(place, say=say)
            yield cluster_of(place)
            done = True
        finally:
            if keep and done:
                node.keep(place)
            else:
                node.wipe(place)


def _build_programs(say: Say) -> None:
    say(
        "Kubernetes, cluster DNS and helm: built from pinned modules when these are new here, which takes some 15 minutes"
    )
    for made in (build.kubebox, build.coredns, build.pause, build.helm):
        began = time.monotonic()
        program = made()
        seconds = time.monotonic() - began
        if seconds > _NOTABLE_SECONDS:
            say(f"    {program.name} is there after {seconds:.0f} s")


def prepared(cluster: Cluster, engine: str, base_image: str, *, prefix: str) -> Ground:
    """Push the tools' images and the templates' base.

    Args:
        cluster: whose registry they go to.
        engine: endpoint of the engine that has the base.
        base_image: what the base is called there.
        prefix: begins the name of every repository but those of the tools.
    """
    tools = {name: push_our_image(name, cluster.registry) for name in TOOLS}
    return Ground(
        cluster, prefix, tools, cluster.push_from_engine(engine, base_image, f"{prefix}python:3.11")
    )


def push_full_builds(
    ground: Ground, templates: Mapping[str, Path], wheel: SmallWheel, *, engine: str, index: Index
) -> None:
    """Build each template's Dockerfile once on an engine, as a pod without privileges does not; nothing is left on it.

    Args:
        ground: where they go.
        templates: folders by name.
        wheel: the runtime that is in them.
        engine: endpoint of the engine.
        index: where pip gets what they need.
    """
    registry = ground.cluster.registry
    entries = [
        template_entry(name, f"{registry}/{ground.prefix}{name}", place, base=ground.base)
        for name, place in templates.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(engine, Path(folder), "Remote", {"insecure": True}, {"url": index.simple_url})
        try:
            made = run.cascade_apart(wheel, *entries)
            for name in templates:
                made.template(name)
        finally:
            remove_leftovers(engine, ground.prefix)


def wheel_of(source: Path, version: str, folder: Path) -> SmallWheel:
    """Build the runtime's wheel below a folder, as a release does."""
    given = PackageRun(source=source, version=version, out=folder / "tree", dist=folder / "dist")
    facts = package(given).facts
    return SmallWheel(Path(facts["wheel"]["file"]), version, facts["wheel"]["sha256"], facts["contentSha256"])
