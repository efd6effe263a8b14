"""In place or anew: how long one workspace is away on a real node, and what a thousand cost a control plane with its usual limits."""

import asyncio
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from controller.clients.kube import Resource
from controller.model.replacement import Replaced
from controller.model.workload import WorkloadKind
from tests.bench.figures import Figure
from tests.bench.inplace_fleet import Scale, measured
from tests.bench.site import Site, listed, say
from tests.cluster.cluster import Cluster, own_cluster
from tests.parts.pod_proxy import pod_proxy
from tests.parts.real_workloads import RealWorkloads, Shipped, real_workloads
from tests.parts.stand_in import StandIns

_LOOK_SECONDS: Final = 0.02
_MEBIBYTES: Final = 32
"""How much of each image its node has not."""
SERVICES: Final = Resource("v1", "services", "Service")


@dataclass(frozen=True)
class _Way:
    """One way to bring an image to a workspace: its shape, and whether the node has the image before."""

    name: str
    kind: WorkloadKind
    spec: Mapping[str, Any]
    pulls_before: bool


_ON_DELETE: Final = {"updateStrategy": {"type": "OnDelete"}}
_RECREATE: Final = {"strategy": {"type": "Recreate"}}
_WAYS: Final = (
    _Way("in place, pulled before", WorkloadKind.STATEFUL_SET, _ON_DELETE, pulls_before=True),
    _Way("in place", WorkloadKind.STATEFUL_SET, _ON_DELETE, pulls_before=False),
    _Way("StatefulSet, pulled before", WorkloadKind.STATEFUL_SET, {}, pulls_before=True),
    _Way("StatefulSet", WorkloadKind.STATEFUL_SET, {}, pulls_before=False),
    _Way("Deployment (Recreate), pulled before", WorkloadKind.DEPLOYMENT, _RECREATE, pulls_before=True),
    _Way("Deployment (Recreate)", WorkloadKind.DEPLOYMENT, _RECREATE, pulls_before=False),
)


def measure(site: Site) -> list[Figure]:
    """First one workspace on the real node, then a thousand on nodes that take as long as that."""
    with own_cluster() as cluster:
        gaps = asyncio.run(_gaps(site, cluster))
    seconds = statistics.median(gaps[_WAYS[0].name])
    fleet = measured(Scale(restart_seconds=round(seconds, 2)), site.folder)
    medians = "; ".join(f"{name} {statistics.median(samples):.2f} s" for name, samples in gaps.items())
    return [
        Figure.middle("inplace.gap", gaps[_WAYS[0].name], gaps[_WAYS[-1].name], how=f"last answer of the old process to the first of the new one, asked every 20 ms through a Service on a real node, with {_MEBIBYTES} MiB of the image new to it; medians of {site.pairs}: {medians}; the baseline is the last of these"),
        *fleet,
    ]  # fmt: skip


async def _gaps(site: Site, cluster: Cluster) -> dict[str, list[float]]:
    gaps: dict[str, list[float]] = {way.name: [] for way in _WAYS}
    stand_ins = StandIns(site.client, site.base_image, f"{site.prefix}inplace")
    with cluster.namespace() as namespace, pod_proxy(cluster) as url:
        opened = real_workloads(cluster, namespace, stand_ins, engine=site.engine, url=url)
        async with opened as place:
            for number in range(site.pairs):
                for way in _WAYS[number % len(_WAYS) :] + _WAYS[: number % len(_WAYS)]:
                    gaps[way.name].append(await _gap(place, way, f"w{number}-{_WAYS.index(way)}"))
                say("inplace: " + "; ".join(f"{name} {listed(samples)} s" for name, samples in gaps.items()))
    return gaps


async def _gap(place: RealWorkloads, way: _Way, name: str) -> float:
    """Seconds for which nobody answered while one workspace got another image."""
    old, new = place.ship("1.0"), place.ship("1.1", mebibytes=_MEBIBYTES)
    await place.make(way.kind, name, old, **way.spec)
    service = {
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8000}], "publishNotReadyAddresses": True},
    }
    made = await place.client.create(SERVICES, place.namespace, service)
    with _looking(place.cluster, made["spec"]["clusterIP"]) as seen:
        await _until(seen, old)
        result = await place.roll(way.kind, name, new, pulls_before=way.pulls_before)
        assert isinstance(result, Replaced), result
        await _until(seen, new)
    return seen.first(new) - seen.last(old)


async def _until(seen: "_Seen", image: Shipped) -> None:
    async with asyncio.timeout(60):
        while not seen.of(image):  # noqa: ASYNC110 -- a thread sets no event of ours
            await asyncio.sleep(_LOOK_SECONDS)


@dataclass
class _Seen:
    """When which version answered (monotonic seconds)."""

    answers: list[tuple[float, str]] = field(default_factory=list)

    def of(self, image: Shipped) -> Sequence[float]:
        return [when for when, version in self.answers if version == image.version]

    def first(self, image: Shipped) -> float:
        return min(self.of(image))

    def last(self, image: Shipped) -> float:
        return max(self.of(image))


@contextmanager
def _looking(cluster: Cluster, address: str) -> Iterator[_Seen]:
    """Ask a Service every 20 ms from now on, each time over a new connection."""
    seen, ended = _Seen(), threading.Event()

    def look() -> None:
        with cluster.entered():
            while not ended.wait(_LOOK_SECONDS):
                connection = http.client.HTTPConnection(address, 8000, timeout=0.2)
                try:
                    connection.request("GET", "/runtime")
                    version = json.loads(connection.getresponse().read())["version"]
                    seen.answers.append((time.monotonic(), version))
                except (OSError, http.client.HTTPException, ValueError):
                    continue
                finally:
                    connection.close()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
