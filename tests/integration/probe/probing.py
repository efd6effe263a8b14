"""What the tests of the gate share: a probe with a stand-in of its own, and what it leaves behind."""

import asyncio

from controller.api.names import LABEL_PROBE
from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn
from controller.model.container import ContainerState
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed
from controller.reconcile.docker_prover import probe_in_engine


async def probed(engine: DockerEngine, order: ProbeOrder) -> ProbePassed | ProbeFailed:
    return await probe_in_engine(engine, order, StandIn(engine, order.owner))


async def failure(engine: DockerEngine, order: ProbeOrder) -> ProbeFailed:
    outcome = await probed(engine, order)
    assert isinstance(outcome, ProbeFailed), outcome
    assert outcome.template == order.template
    assert "\n" not in outcome.message
    assert len(outcome.log_tail) <= 20
    assert await left_behind(engine, order.owner) == []
    return outcome


async def left_behind(engine: DockerEngine, owner: str) -> list[str]:
    """Containers and networks of the object's probes."""
    found = {"label": f"{LABEL_PROBE}={owner}"}
    networks = await engine.call("list networks", lambda client: client.networks(filters=found))
    containers = [each.name for each in await engine.containers() if each.labels.get(LABEL_PROBE) == owner]
    return containers + [network["Name"] for network in networks]


async def volumes_of(engine: DockerEngine, owner: str) -> set[str]:
    """The volumes of the containers that the object's probes have now; other users of the engine have their own."""
    ids = [each.id for each in await engine.containers() if each.labels.get(LABEL_PROBE) == owner]
    mounts = [mount for one in ids for mount in (await engine.inspect_container(one))["Mounts"]]
    return {mount["Name"] for mount in mounts if mount["Type"] == "volume"}


async def still_there(engine: DockerEngine, volumes: set[str]) -> list[str]:
    """Those of the volumes that the engine has yet."""
    return [name for name in sorted(volumes) if await engine.volume_exists(name)]


async def until_running(engine: DockerEngine, owner: str) -> str:
    """Wait until a candidate of the object runs, and return its id."""
    while True:
        for found in await engine.containers():
            if found.labels.get(LABEL_PROBE) == owner and found.state is ContainerState.RUNNING:
                return found.id
        await asyncio.sleep(0.05)
