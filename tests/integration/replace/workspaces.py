"""One running workspace of a test, and what must not change about it."""

import asyncio
import json
from typing import Any

from controller.clients.docker import DockerEngine
from tests.parts.stand_in import StandInImage


class Workspace:
    """One running container of the test, and what must not change about it."""

    def __init__(self, host: DockerEngine, name: str) -> None:
        self.host = host
        self.name = name

    async def facts(self) -> dict[str, Any]:
        found = await self.host.inspect_container(self.name)
        return {
            "id": found["Id"],
            "state": found["State"]["Status"],
            "policy": found["HostConfig"]["RestartPolicy"],
            "networks": sorted(found["NetworkSettings"]["Networks"]),
            "mounts": sorted(mount["Name"] for mount in found["Mounts"]),
        }

    async def ctl(self, *words: str) -> dict[str, Any]:
        for _ in range(50):
            ran = await self.host.execute(self.name, ("molecule-runtime", "ctl", *words))
            if not ran.exit_code:
                break
            await asyncio.sleep(0.05)
        report: dict[str, Any] = json.loads(ran.output)
        return report

    async def interim(self) -> list[str]:
        return [
            one.name
            for one in await self.host.containers()
            if one.name.endswith(self.name) and one.name != self.name
        ]


async def start(host: DockerEngine, name: str, image: StandInImage, **more: object) -> Workspace:
    body = {
        "Image": image.reference,
        "Volumes": {"/anonymous": {}},
        "Env": ["API_TOKEN=hunter2hunter2"],
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}} | more,
    }
    await host.start(await host.create_container(name, body))
    workspace = Workspace(host, name)
    await workspace.ctl("status")
    return workspace
