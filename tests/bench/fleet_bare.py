"""The least that rolls a fleet: patch every image at once, watch the pods, and ask each new one what it runs.

python -m tests.bench.fleet_bare KUBECONFIG NAMESPACE URL IMAGE VERSION CONTENT prints the seconds that it took.
"""

import asyncio
import json
import ssl
import sys
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml

_AT_ONCE = 64


@dataclass
class Bare:
    """One roll of all Deployments of a namespace, each of one pod."""

    api: aiohttp.ClientSession
    runtimes: aiohttp.ClientSession
    namespace: str
    url: str
    image: str
    wanted: tuple[str, str]
    left: set[str] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> float:
        """Roll them, and return the seconds from the first patch to the last proof."""
        deployments = await self._json(f"/apis/apps/v1/namespaces/{self.namespace}/deployments")
        pods = await self._json(f"/api/v1/namespaces/{self.namespace}/pods")
        self.left = {each["metadata"]["name"] for each in deployments["items"]}
        began = time.monotonic()
        watching = asyncio.create_task(self._watch(pods["metadata"]["resourceVersion"]))
        patching = asyncio.gather(*map(self._patch, sorted(self.left)))
        done = asyncio.create_task(self.done.wait())
        await asyncio.wait({watching, done}, return_when=asyncio.FIRST_COMPLETED)
        took = time.monotonic() - began
        if watching.done():
            watching.result()
            raise SystemExit("The watch ended before the roll did.")
        watching.cancel()
        await patching
        return took

    async def _json(self, path: str) -> Any:  # noqa: ANN401 -- whatever the server says
        async with self.api.get(path, params={"resourceVersion": "0"}) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _patch(self, name: str) -> None:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        body = {"spec": {"template": {"spec": {"containers": [{"name": "workspace", "image": self.image}]}}}}
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        async with self.api.patch(path, data=json.dumps(body), headers=headers) as answer:
            answer.raise_for_status()
            await answer.read()

    async def _watch(self, version: str) -> None:
        query = {"watch": "true", "resourceVersion": version}
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        async with asyncio.TaskGroup() as proofs, self.api.get(path, params=query) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                pod = json.loads(line)["object"]
                if self._runs_it(pod):
                    proofs.create_task(self._prove(pod))

    def _runs_it(self, pod: dict[str, Any]) -> bool:
        if "deletionTimestamp" in pod["metadata"] or pod["spec"]["containers"][0]["image"] != self.image:
            return False
        statuses = pod.get("status", {}).get("containerStatuses") or ()
        digest = self.image.rpartition("@")[2]
        return any("running" in each["state"] and each["imageID"].endswith(digest) for each in statuses)

    async def _prove(self, pod: dict[str, Any]) -> None:
        url = self.url.format(namespace=self.namespace, pod=pod["metadata"]["name"])
        while True:
            async with self.runtimes.get(f"{url}/runtime") as answer:
                if answer.status == HTTPStatus.OK:
                    told = await answer.json()
                    if (told["version"], told["contentSha256"]) == self.wanted:
                        break
            await asyncio.sleep(0.05)
        self.left.discard(pod["metadata"]["labels"]["app"])
        if not self.left:
            self.done.set()


async def _main(kubeconfig: dict[str, Any], namespace: str, url: str, image: str, *wanted: str) -> float:
    server, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(cafile=server["certificate-authority"])
    unlimited = aiohttp.ClientTimeout(total=None, sock_connect=30)
    api = aiohttp.ClientSession(
        server["server"],
        connector=aiohttp.TCPConnector(limit=_AT_ONCE, ssl=context),
        headers={"Authorization": f"Bearer {user['token']}"},
        timeout=unlimited,
        read_bufsize=2**20,
    )
    runtimes = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_ONCE), timeout=unlimited)
    async with api, runtimes:
        return await Bare(api, runtimes, namespace, url, image, (wanted[0], wanted[1])).run()


if __name__ == "__main__":
    _kubeconfig = yaml.safe_load(Path(sys.argv[1]).read_text())
    sys.stdout.write(f"{asyncio.run(_main(_kubeconfig, *sys.argv[2:])):.3f}\n")
