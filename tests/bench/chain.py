"""The main job against the hand-made chain: one line is edited, and twenty workspaces of eight templates follow."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.bench.figures import Figure, at_least
from tests.bench.predecessor import Predecessor
from tests.bench.release import Releases
from tests.bench.site import Site, listed, say
from tests.bench.stock import stocked_index
from tests.demo.client import Workspace
from tests.e2e.desk import Desk
from tests.e2e.fleet import Fleet
from tests.parts.engine import gateway
from tests.parts.index import Index
from tests.parts.registry import running_registry
from tests.parts.servers import free_port
from tests.templates.generate import write_templates

WORKSPACES = 20
FIRST = "0.1.0"
_ENDED = re.compile(
    r"\[ *(?P<seconds>[\d.]+)s\] (?P<kind>package|cascade|probe|tag|publish|replace|promote|judge) [^:]+: (?!because)"
)


def measure(site: Site) -> list[Figure]:
    """Both sides on one engine, registry, index and source, each with twenty workspaces of its own."""
    with _stage(site) as stage:
        ours, two, one = site.alternate(
            lambda _: stage.ours(),
            lambda _: stage.baseline(builds_at_once=2),
            lambda _: stage.baseline(builds_at_once=1),
        )
    say(f"chain: ours {listed(ours)} s, two builds at a time {listed(two)} s, one {listed(one)} s")
    what = f"edited version to all {WORKSPACES} workspaces on 8 templates reporting it (Remote mode, local registry and index, whole runtime)"
    against = (
        "the predecessor's script with {} at a time, 4 containers recreated at a time; median of the pairs"
    )
    return [
        Figure.middle("chain.seconds", ours, how=f"{what}, gate and publication included; `wsr run --once`; median"),
        Figure.times_faster(
            "chain.ratio", ours, two, bar=at_least(4), how=f"{what}: " + against.format("two image builds")
        ),
        Figure.times_faster(
            "chain.ratioOneBuild", ours, one, how=f"{what}: " + against.format("one image build")
        ),
        Figure.middle(
            "chain.finishedSeconds", stage.finished, how=f"{what}, until `wsr run --once` has promoted and ended; median"
        ),
    ]  # fmt: skip


@dataclass
class _Stage:
    """Both sides. Every release of either one takes the next number of the same source."""

    desk: Desk
    fleet: Fleet
    predecessor: Predecessor
    releases: Releases
    finished: list[float] = field(default_factory=list)
    _baseline_runs: str = ""

    def ours(self) -> float:
        """Seconds from the edit of the document to the last workspace's new version, seen from outside."""
        version = self.releases.edit()
        begun = time.monotonic()
        self.desk.bump(version)
        run = self.desk.start("run", "--once")
        for workspace in self.fleet.workspaces:
            run.until(rf"replace docker/local/{workspace.name}: proven")
            self.fleet.until(workspace, version)
        seconds = time.monotonic() - begun
        ended = run.end()
        self.finished.append(time.monotonic() - begun)
        assert ended.code == 0, ended.log
        say(f"chain: ours {seconds:.2f} s, ended after {self.finished[-1]:.2f} s {stages(ended.log)}")
        return seconds

    def baseline(self, *, builds_at_once: int) -> float:
        """Seconds of the predecessor's script."""
        version = self.releases.edit()
        seconds = self.predecessor.release(version, builds_at_once=builds_at_once)
        say(f"chain: baseline, {builds_at_once} at a time: {seconds:.2f} s {self.predecessor.steps}")
        self.predecessor.forget(self._baseline_runs)
        self._baseline_runs = version
        return seconds

    def begin_baseline(self) -> None:
        """Bring the baseline's workspaces up by its own script; there is nothing to remove yet."""
        self._baseline_runs = self.releases.edit()
        self.predecessor.release(self._baseline_runs, builds_at_once=2)


def stages(log: str) -> dict[str, float]:
    """When the last action of each kind ended, in seconds since the start, as the run itself says."""
    ends: dict[str, float] = {}
    for line in log.splitlines():
        if found := _ENDED.match(line):
            ends[found["kind"]] = float(found["seconds"])
    return ends


@contextmanager
def _stage(site: Site) -> Iterator[_Stage]:
    folder = site.folder / "chain"
    with (
        running_registry(folder / "registry") as registry,
        stocked_index(folder / "index", address=gateway(site.engine)) as index,
    ):
        desk = lay_out(site, folder / "desk", registry=registry, index=index)
        releases = Releases(desk.source)
        fleet = Fleet(site.engine, desk.prefix, desk.label, site.client)
        try:
            say("chain: the first release of ours, full builds included")
            desk.run()
            _populate(fleet, desk)
            say("chain: the first release of the baseline")
            predecessor = _predecessor(site, folder, desk, registry=registry, index=index)
            stage = _Stage(desk, fleet, predecessor, releases)
            stage.begin_baseline()
            yield stage
        finally:
            fleet.close()
            site.clear()
            shutil.rmtree(folder)


def _populate(fleet: Fleet, desk: Desk) -> None:
    images = {one["name"]: desk.wsr("image", one["name"]).out.strip() for one in desk.spec["templates"]}
    for image in images.values():
        fleet.client.images.pull(image)  # as a platform does before it creates a workspace
    templates = list(images)
    for number in range(WORKSPACES):
        template = templates[number % len(templates)]
        fleet.add(f"{template}-{number}", images[template])
    for workspace in fleet.workspaces:
        fleet.until(workspace, FIRST)


def _predecessor(site: Site, folder: Path, desk: Desk, *, registry: str, index: Index) -> Predecessor:
    """The script, with the same templates and with workspaces that are like ours in everything but name and port."""
    prefix = f"{site.prefix}their-"
    templates = [one["name"] for one in desk.spec["templates"]]
    names = [templates[number % len(templates)] for number in range(WORKSPACES)]
    return Predecessor(
        folder=folder / "their",
        engine=site.engine,
        base_image=site.base_image,
        source=desk.source,
        templates=desk.folder / "templates",
        index=index,
        repositories={name: f"{registry}/{prefix}{name}" for name in templates},
        workspaces=[
            Workspace(f"{prefix}{template}-{number}", template, free_port())
            for number, template in enumerate(names)
        ],
    )


def lay_out(site: Site, folder: Path, *, registry: str, index: Index) -> Desk:
    """The desk of one user with a registry of their own: Remote mode."""
    desk = Desk(folder, f"{site.prefix}our-")
    names = write_templates(folder / "templates")
    desk.write_secret("index", username=index.username, password=index.password)
    place = f"{registry}/{desk.prefix}"
    host = {
        "name": "local",
        "endpoint": site.engine,
        "containerPrefix": desk.prefix,
        "selector": {"matchLabels": desk.label},
    }
    uploads = {"uploadURL": index.upload_url, "simpleURL": index.simple_url, "credentialsSecretName": "index"}
    document = {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": f"{desk.prefix}runtime"},
        "spec": {
            "version": FIRST,
            "source": {"directory": "source"},
            "package": {"index": uploads},
            "registry": {"mode": "Remote", "artifacts": f"{place}artifacts", "insecure": True},
            "templates": [_template(name, place, site.base_image) for name in names],
            "targets": {"dockerHosts": [host]},
        },
    }
    desk.document.write_text(yaml.safe_dump(document, sort_keys=False))
    return desk


def _template(name: str, place: str, base_image: str) -> dict[str, object]:
    build = {"directory": f"templates/{name}", "args": {"BASE_IMAGE": base_image}}
    return {
        "name": name,
        "image": f"{place}{name}",
        "startDeadlineSeconds": 120,
        "probe": {"model": "None"},
        "build": build,
    }
