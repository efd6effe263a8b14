"""Plays a node for pods that no scheduler takes: it says that they run, and one server answers for the processes in them.

The API server and its controllers are real; what a kubelet would report is written here, from the image of each pod, and again
when that is changed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from controller.api.names import IMAGE_LABEL_CONTENT, IMAGE_LABEL_VERSION
from controller.clients.kube import PODS, KubeCluster, Place
from controller.model.errors import Problem
from controller.model.workload import digest_of

SCHEDULER = "nobody"
"""What `schedulerName` such pods name."""
TOKEN = "control"  # noqa: S105 -- the played processes know no other
_LOOK_SECONDS = 0.05

Fault = Literal["", "crash", "pull", "silent", "starting", "unready"]


@dataclass(frozen=True)
class PlayedImage:
    """What the process of an image reports, and how it misbehaves; `digest` is what the node calls the image."""

    version: str
    content_sha256: str
    fault: Fault = ""
    digest: str = ""


@dataclass
class PlayedNode:
    """The pods of one namespace; `images` by the digest that a pod's image names."""

    cluster: KubeCluster
    namespace: str
    images: dict[str, PlayedImage] = field(default_factory=dict)
    lookup: Callable[[str], PlayedImage] | None = None
    """Where else an image with a digest is looked up; what nobody knows reports 0.0.1."""
    busy: set[str] = field(default_factory=set)
    """Pods, or beginnings of their names, that have work in progress."""
    fails: str = ""
    """A version that never answers."""
    draining: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    """`drain POD` and `resume POD`, as they came."""
    url: str = ""
    pods: dict[str, PlayedImage] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    """How often the process in each pod was ended for another image, in the same pod."""
    asleep: bool = False
    """Whether it looks for no pods, so that nobody but those who are tested asks the API server for them."""

    async def play(self) -> None:
        """Report for ever."""
        while True:
            with suppress(Problem):
                pods = () if self.asleep else (await self.cluster.list(PODS, self.namespace)).items
                for pod in pods:
                    await self._report(pod)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _report(self, pod: dict[str, Any]) -> None:
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        (before,) = pod.get("status", {}).get("containerStatuses") or [None]
        if "deletionTimestamp" in pod["metadata"] or pod["spec"]["schedulerName"] != SCHEDULER:
            return
        if before is not None and before["image"] == container["image"]:
            return
        ended = 0 if before is None else before["restartCount"] + 1
        if ended:
            self.restarts[name] = self.restarts.get(name, 0) + 1
            self.draining.discard(name)
        digest = digest_of(container["image"])
        image = self.images.get(digest or container["image"])
        if image is None and digest is not None and self.lookup is not None:
            image = self.images[digest] = await asyncio.to_thread(self.lookup, container["image"])
        image = image or PlayedImage("0.0.1", "f" * 64)
        if image.version == self.fails:
            image = replace(image, fault="silent")
        self.pods[name] = image
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        runs = image.fault not in {"crash", "pull"}
        ready = runs and image.fault != "unready"
        why = {"crash": "CrashLoopBackOff", "pull": "ImagePullBackOff"}.get(image.fault, "")
        state = (
            {"running": {"startedAt": now}}
            if runs
            else {"waiting": {"reason": why, "message": "it is played"}}
        )
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"played@{image.digest or digest or 'sha256:' + '0' * 64}",
            "containerID": f"played://{name}/{ended}",
            "ready": ready,
            "restartCount": ended + (3 if image.fault == "crash" else 0),
            "state": state,
        }
        conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": now}]
        body = {
            "status": {
                "phase": "Running" if runs else "Pending",
                "podIP": "192.0.2.1",
                "podIPs": [{"ip": "192.0.2.1"}],
                "conditions": conditions,
                "containerStatuses": [status],
            }
        }
        await self.cluster.merge(
            Place(PODS, self.namespace, name), body, manager="played-node", part="status"
        )

    async def restart(self, name: str) -> None:
        """End the process in a pod once, and start it again as it was."""
        at = Place(PODS, self.namespace, name)
        (status,) = (await self.cluster.read(PODS, self.namespace, name))["status"]["containerStatuses"]
        again = {"containerID": f"{status['containerID']}/again", "restartCount": status["restartCount"] + 1}
        body = {"status": {"containerStatuses": [{**status, **again}]}}
        await self.cluster.merge(at, body, manager="played-node", part="status")

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the process in one pod."""
        name = request.match_info["pod"]
        image = self.pods.get(name)
        if image is None or image.fault == "silent":
            return web.Response(status=503)
        if request.path.endswith("/drain"):
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.Response(status=401)
            word = "drain" if request.method == "POST" else "resume"
            self.told.append(f"{word} {name}")
            (self.draining.add if word == "drain" else self.draining.discard)(name)
        busy = any(name.startswith(each) for each in self.busy)
        state = (
            "starting" if image.fault == "starting" else "draining" if name in self.draining else "serving"
        )
        return web.json_response(
            {
                "package": "played",
                "version": image.version,
                "contentSha256": image.content_sha256,
                "commit": None,
                "adapter": None,
                "state": state,
                "activeTasks": int(busy),
                "queuedTasks": 0,
                "oldestTaskSeconds": 1.0 if busy else 0,
                "startedAt": None,
            }
        )


def from_registry(reference: str) -> PlayedImage:
    """Return what the process of an image in a plain registry would report: what its labels say."""
    repository, _, digest = reference.partition("@")
    host, _, name = repository.rpartition(":")[0].partition("/")
    manifest = _document(f"http://{host}/v2/{name}/manifests/{digest}")
    config = _document(f"http://{host}/v2/{name}/blobs/{manifest['config']['digest']}")
    labels = config["config"]["Labels"]
    return PlayedImage(labels[IMAGE_LABEL_VERSION], labels[IMAGE_LABEL_CONTENT])


def _document(url: str) -> Any:  # noqa: ANN401 -- whatever the registry says
    accepted = (
        "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    )
    request = urllib.request.Request(url, headers={"Accept": accepted})  # noqa: S310 -- a registry of the test
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- the same
        return json.load(answer)


@contextmanager
def playing(kubeconfig: Path, context: str, namespace: str) -> Iterator[PlayedNode]:
    """Play a node beside a test that is not asynchronous; its images are those of a registry."""
    ready: concurrent.futures.Future[tuple[PlayedNode, asyncio.Event]] = concurrent.futures.Future()

    async def play() -> None:
        async with (
            KubeCluster(kubeconfig, context=context) as cluster,
            played_node(cluster, namespace) as node,
        ):
            node.lookup = from_registry
            ended = asyncio.Event()
            ready.set_result((node, ended))
            await ended.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(play(),), daemon=True)
    thread.start()
    node, ended = ready.result(timeout=20)
    try:
        yield node
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@asynccontextmanager
async def played_node(cluster: KubeCluster, namespace: str) -> AsyncIterator[PlayedNode]:
    """A node for the pods of a namespace, with the address to ask them at (`url`)."""
    node = PlayedNode(cluster, namespace)
    app = web.Application()
    for method in ("GET", "POST", "DELETE"):
        app.router.add_route(method, "/{namespace}/{pod}/runtime", node.answer)
        app.router.add_route(method, "/{namespace}/{pod}/runtime/drain", node.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}/{{namespace}}/{{pod}}"
    playing = asyncio.create_task(node.play())
    try:
        yield node
    finally:
        playing.cancel()
        await runner.cleanup()
