"""A bump in a real cluster of one node: one field of the object is edited, and ten workspaces of four templates follow."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from tests.bench.figures import Figure, at_most
from tests.bench.site import Site, listed, say
from tests.bench.stock import stocked_index
from tests.cluster import node
from tests.cluster.audit import Asked, asked
from tests.cluster.cluster import Cluster
from tests.cluster.place import Place
from tests.demo.client import Lookout
from tests.demo.kubernetes.desk import Desk
from tests.demo.kubernetes.documents import NAME, NAMESPACE
from tests.demo.kubernetes.ground import TOOLS, prepared, push_full_builds, running_cluster, wheel_of
from tests.demo.kubernetes.sight import Pods, PodWorkspace, workspace
from tests.parts.engine import gateway
from tests.parts.ground import PartError
from tests.templates.generate import write_templates

FIRST = "0.1.0"
_TEMPLATES = 4
_WORKSPACES = 10
_KINDS = ("Deployment", "StatefulSet")
_OBJECT = f"/apis/runtime.molecule.ai/v1alpha1/namespaces/{NAMESPACE}/workspaceruntimes/{NAME}"
_SECONDS = 300.0
_BEGINNINGS: Mapping[str, tuple[str, str]] = {
    "package": ("jobs", "wsr-package-"),
    "images": ("jobs", "wsr-cascade-"),
    "gate": ("pods", "wsr-probe-"),
    "publish": ("jobs", "wsr-publish-"),
    "roll": ("deployments|statefulsets", ""),
}
"""By part: what the operator writes first in it, as resource and beginning of the name."""


def measure(site: Site) -> list[Figure]:
    """Every sample is a release that nobody has seen; the operator runs as its chart installs it."""
    with _stage(site) as stage:
        (seconds,) = site.alternate(lambda number: stage.bump(f"0.1.{number + 1}"))
    for name, samples in stage.parts.items():
        say(f"kubernetes: {name} {listed(samples)} s")
    what = (
        f"edit of spec.version to all {_WORKSPACES} pods (Deployments and StatefulSets, {_TEMPLATES} templates, 25 % at a time)"
        " reporting it from inside, on a real node with the operator as its chart installs it; builds in Jobs, gate and"
        " publication included; median"
    )
    how = "of that: until the operator's first request for a Job, by the API server's audit log; the edit is a PATCH; median"
    following = [*list(_BEGINNINGS)[1:], "the last pod's report"]
    return [
        Figure.middle("kubernetes.seconds", seconds, how=what),
        Figure.middle("kubernetes.firstAction", stage.parts["firstAction"], bar=at_most(1), how=how),
        *(
            Figure.middle(f"kubernetes.{part}", stage.parts[part], how=f"of that: from the first request of {part} to that of {after}; median")
            for part, after in zip(_BEGINNINGS, following, strict=True)
        ),
    ]  # fmt: skip


@dataclass
class _Stage:
    """The fleet in its cluster, and what each part of every bump took."""

    cluster: Cluster
    desk: Desk
    workspaces: list[PodWorkspace]
    parts: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in ("firstAction", *_BEGINNINGS)}
    )

    def bump(self, version: str) -> float:
        """Seconds from the edit to the last workspace's new version, seen from outside."""
        with (self.desk.source / "runtime.py").open("a") as module:
            module.write(f"# release {version}\n")
        self.desk.release(version, f"Release {version}")
        with Lookout(self.workspaces) as lookout:
            began, edited = time.monotonic(), datetime.now(UTC)
            self._edit(version)
            while len(arrivals := lookout.arrivals(version)) < len(self.workspaces):
                if time.monotonic() > began + _SECONDS:
                    raise PartError(f"only {arrivals} report {version}: {self.desk.condition('Ready')}")
                time.sleep(0.05)
        seconds = arrivals[-1][0] - began
        self.desk.wait("Ready")
        begun = [self._begun(part, edited) for part in _BEGINNINGS]
        self.parts["firstAction"].append(begun[0])
        for part, start, end in zip(_BEGINNINGS, begun, [*begun[1:], seconds], strict=True):
            self.parts[part].append(end - start)
        return seconds

    def _edit(self, version: str) -> None:
        """As `kubectl patch` does, without the time that kubectl takes to start."""
        status, document = self.cluster.api.ask(
            _OBJECT,
            method="PATCH",
            body={"spec": {"version": version}},
            content_type="application/merge-patch+json",
        )
        if status != HTTPStatus.OK:
            raise PartError(f"the edit was answered with {status}: {document}")

    def _begun(self, part: str, edited: datetime) -> float:
        """Seconds from the edit to the operator's first request of a part."""
        resource, name = _BEGINNINGS[part]

        def belongs(each: Asked) -> bool:
            right = each.right
            written = right.verb in {"create", "patch"} and re.fullmatch(resource, right.resource)
            return bool(written) and each.name.startswith(name) and each.received > edited

        requests = asked(self.cluster, TOOLS[0], NAMESPACE)
        return (min(each.received for each in requests if belongs(each)) - edited).total_seconds()


@contextmanager
def _stage(site: Site) -> Iterator[_Stage]:
    folder = site.folder / "kubernetes"
    place = Place(node.home() / "bench")
    with (
        running_cluster(place, keep=False, say=say) as cluster,
        stocked_index(folder / "index", address=gateway(site.engine)) as index,
    ):
        ground = prepared(cluster, site.engine, site.base_image, prefix=f"{site.prefix}k-")
        names = write_templates(folder / "templates")[:_TEMPLATES]
        desk = Desk(folder / "desk", ground, say=say)
        checkouts = desk.lay_out(FIRST, {name: folder / "templates" / name for name in names})
        wheel = wheel_of(desk.source, FIRST, folder / "built")
        say("kubernetes: the templates' full builds, on the engine")
        push_full_builds(ground, checkouts, wheel, engine=site.engine, index=index)
        desk.install()
        desk.apply()
        desk.wait("Ready")
        workloads = {
            (_KINDS[number % len(_KINDS)], f"ws-{number}"): names[number // 2 % _TEMPLATES]
            for number in range(_WORKSPACES)
        }
        desk.start(workloads)
        desk.wait("Ready")
        with Pods(cluster) as pods:
            workspaces = [
                workspace(kind, name, template, pods=pods, cluster=cluster)
                for (kind, name), template in workloads.items()
            ]
            yield _Stage(cluster, desk, workspaces)
