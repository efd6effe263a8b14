"""What the tests of the gate share: a probe with a stand-in of its own, and what it leaves behind."""

import asyncio
import re

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


async def volumes(engine: DockerEngine) -> set[str]:
    """Those without a name, as a candidate's are, that no container has."""
    nobodys = {"dangling": True}
    found = await engine.call("list volumes", lambda client: client.volumes(filters=nobodys))
    return {name for volume in found["Volumes"] or [] if re.fullmatch("[0-9a-f]{64}", name := volume["Name"])}


async def left_volumes(engine: DockerEngine, before: set[str]) -> set[str]:
    """Which of them are new and stay: containers of other tests, which run beside this one, lose theirs a moment later."""
    left = await volumes(engine) - before
    for _ in range(20):
        if not left:
            break
        await asyncio.sleep(0.5)
        left &= await volumes(engine)
    return left


async def until_running(engine: DockerEngine, owner: str) -> str:
    """Wait until a candidate of the object runs, and return its id."""
    while True:
        for found in await engine.containers():
            if found.labels.get(LABEL_PROBE) == owner and found.state is ContainerState.RUNNING:
                return found.id
        await asyncio.sleep(0.05)
