"""The demo's own eyes in a cluster: pods, Jobs and image tags as their servers tell them, to nothing that belongs to the product."""

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.cluster.cluster import Cluster
from tests.demo.client import Workspace
from tests.demo.kubernetes.documents import AGENTS, NAMESPACE, PORT
from tests.demo.kubernetes.ground import Ground
from tests.demo.milestones import published

_LOOK_EVERY_SECONDS = 0.2
_SECONDS = 10.0
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


class Pods:
    """The pods of the workspaces, looked at five times a second: which one of each serves, and where."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: dict[str, dict[str, Any]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._seen = self._current()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def address(self, name: str) -> str:
        """The address of a workload's pod. Raises OSError when it has none."""
        try:
            return str(self._seen[name]["status"]["podIP"])
        except KeyError:
            raise OSError(f"{name} has no pod with an address") from None

    def identities(self) -> dict[str, tuple[str, int]]:
        """By workload: which pod it is, and how often its container was started again."""
        return {
            name: (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
            for name, pod in self._current().items()
        }

    def _look(self) -> None:
        while not self._end.wait(_LOOK_EVERY_SECONDS):
            with suppress(OSError):  # the next look may do better
                self._seen = self._current()

    def _current(self) -> dict[str, dict[str, Any]]:
        pods = _items(self._cluster, f"/api/v1/namespaces/{AGENTS}/pods")
        staying = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
        return {pod["metadata"]["labels"]["app"]: pod for pod in staying}


@dataclass(frozen=True)
class PodWorkspace(Workspace):
    """A workspace in a pod, asked at the pod's own address."""

    kind: str
    pods: Pods = field(repr=False)
    cluster: Cluster = field(repr=False)

    @property
    def address(self) -> str:
        """See `Workspace`."""
        return f"{self.pods.address(self.name)}:{self.port}"

    def reached(self) -> AbstractContextManager[None]:
        """See `Workspace`."""
        return self.cluster.entered()


def workspace(kind: str, name: str, template: str, *, pods: Pods, cluster: Cluster) -> PodWorkspace:
    """What a workload's pod says of itself."""
    return PodWorkspace(name, template, PORT, kind, pods, cluster)


def stages(
    ground: Ground, version: str, templates: Mapping[str, object]
) -> list[tuple[str, Callable[[], bool]]]:
    """The stages of a release that show in the API server, the registry and the index; what is there now does not count."""
    cluster = ground.cluster
    before = {name: set(_tags(ground, name)) for name in templates}
    jobs = _built(cluster)

    def tagged(start: str) -> bool:
        return all(
            any(tag.startswith(start) and tag not in before[name] for tag in _tags(ground, name))
            for name in templates
        )

    def promoted() -> bool:
        return all(_is_latest(ground, name, version) for name in templates)

    return [
        ("wheel", lambda: bool(_built(cluster) - jobs)),
        ("candidates", lambda: tagged("candidate-")),
        ("proven", lambda: tagged(f"{version}-")),
        ("published", lambda: version in published(cluster.index)),
        ("promoted", promoted),
    ]


def _built(cluster: Cluster) -> set[str]:
    """The pods that have built a package; their Jobs say so seconds later."""
    pods = _items(cluster, f"/api/v1/namespaces/{NAMESPACE}/pods")
    ended = (pod["metadata"] for pod in pods if pod["status"]["phase"] == "Succeeded")
    return {pod["uid"] for pod in ended if "-package-" in pod["name"]}


def _items(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    status, document = cluster.api.ask(path)
    if status != http.client.OK:
        raise OSError(f"{path} answered {status}")
    return list(document["items"])


def _tags(ground: Ground, name: str) -> list[str]:
    status, _, body = _registry(ground, "GET", f"/v2/{ground.prefix}{name}/tags/list")
    return list(json.loads(body)["tags"] or ()) if status == http.client.OK else []


def _is_latest(ground: Ground, name: str, version: str) -> bool:
    """Whether the moving tag stands for the image of a version."""
    own = [tag for tag in _tags(ground, name) if tag.startswith(f"{version}-")]
    digests = {
        _registry(ground, "HEAD", f"/v2/{ground.prefix}{name}/manifests/{tag}")[1] for tag in ("latest", *own)
    }
    return bool(own) and len(digests) == 1


def _registry(ground: Ground, method: str, path: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection(ground.cluster.registry, timeout=_SECONDS)
    try:
        connection.request(method, path, headers={"Accept": _MANIFESTS})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Docker-Content-Digest"), answer.read()
    finally:
        connection.close()
