"""Answers `/runtime` and drain for pods that have no process, from the image in each pod's status, and nothing before.

python -m tests.bench.fleet_runtimes KUBECONFIG PORT IMAGES NAMESPACE…; IMAGES is JSON: {digest: [version, contentSha256]}.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from controller.clients.kube import PODS, KubeCluster, Listed
from controller.clients.kube_follow import follow
from controller.model.workload import digest_of

TOKEN = "the control token of all"  # noqa: S105 -- of processes that do not exist


@dataclass
class Runtimes:
    """What the processes would say, were there any."""

    images: dict[str, tuple[str, str]]
    running: dict[tuple[str, str], str] = field(default_factory=dict)
    """The digest that each pod runs, by namespace and name."""
    draining: set[tuple[str, str]] = field(default_factory=set)

    async def follow(self, cluster: KubeCluster, namespace: str) -> None:
        """Take in what becomes of the pods of a namespace; for ever."""
        async for news in follow(cluster, PODS, namespace):
            for pod in news.items if isinstance(news, Listed) else (news.object,):
                is_gone = not isinstance(news, Listed) and news.kind == "DELETED"
                self._note(pod, is_gone=is_gone)

    def _note(self, pod: dict[str, Any], *, is_gone: bool) -> None:
        key = pod["metadata"]["namespace"], pod["metadata"]["name"]
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        runs = [each for each in statuses if "running" in each.get("state", {})]
        if is_gone or not runs:
            self.running.pop(key, None)
            self.draining.discard(key)
        else:
            self.running[key] = digest_of(runs[0]["image"]) or ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the process in one pod."""
        key = request.match_info["namespace"], request.match_info["pod"]
        known = self.images.get(self.running.get(key, ""))
        if known is None:
            return web.Response(status=503)
        if request.path.endswith("/drain"):
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return web.Response(status=401)
            (self.draining.add if request.method == "POST" else self.draining.discard)(key)
        report = {
            "package": "molecule-ai-workspace-runtime",
            "version": known[0],
            "contentSha256": known[1],
            "commit": None,
            "adapter": None,
            "state": "draining" if key in self.draining else "serving",
            "activeTasks": 0,
            "queuedTasks": 0,
            "oldestTaskSeconds": 0,
            "startedAt": None,
        }
        return web.json_response(report)


async def _serve(
    kubeconfig: Path, port: int, images: dict[str, tuple[str, str]], namespaces: list[str]
) -> None:
    runtimes = Runtimes(images)
    app = web.Application()
    app.router.add_get("/{namespace}/{pod}/runtime", runtimes.answer)
    for method in ("POST", "DELETE"):
        app.router.add_route(method, "/{namespace}/{pod}/runtime/drain", runtimes.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        async with KubeCluster(kubeconfig) as cluster, asyncio.TaskGroup() as group:
            for namespace in namespaces:
                group.create_task(runtimes.follow(cluster, namespace))
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    _kubeconfig, _port, _images, *_namespaces = sys.argv[1:]
    asyncio.run(_serve(Path(_kubeconfig), int(_port), json.loads(_images), _namespaces))
