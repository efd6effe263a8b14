"""Of several candidates for a Lease of a real API server one has it, and no two ever believe that they do."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from controller.clients.kube import KubeCluster, Place
from controller.clients.lease import LEASES, Lease, Pace
from controller.model.errors import Transient
from tests.cluster.cluster import Cluster

PACE = Pace(lease_seconds=2.0, give_up_seconds=1.2, look_seconds=0.1, renew_seconds=0.3)


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeCluster]:
    async with KubeCluster(cluster.kubeconfig, context=cluster.context) as opened:
        yield opened


def candidate(client: KubeCluster, namespace: str, name: str) -> Lease:
    return Lease(client, Place(LEASES, namespace, "operator"), name, pace=PACE)


async def has(work: asyncio.Task[None], *, within: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(work), within)
    return work.done()


async def test_a_lease_that_is_renewed_is_nobody_elses(client: KubeCluster, namespace: str) -> None:
    first, second = candidate(client, namespace, "first"), candidate(client, namespace, "second")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    assert not await has(waiting, within=2 * PACE.lease_seconds)
    assert not holding.done()
    holding.cancel()
    waiting.cancel()


async def test_a_lease_whose_holder_died_is_taken_when_it_has_run_out_and_not_before(
    client: KubeCluster, namespace: str
) -> None:
    first, second = candidate(client, namespace, "first"), candidate(client, namespace, "second")
    await first.acquire()
    began = time.monotonic()
    await second.acquire()
    assert time.monotonic() - began >= PACE.lease_seconds
    assert first.overdue, "whoever had it must have given up by then"


async def test_a_lease_that_is_let_go_of_is_taken_at_once(client: KubeCluster, namespace: str) -> None:
    first, second = candidate(client, namespace, "first"), candidate(client, namespace, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.3)
    await first.release()
    assert await has(waiting, within=PACE.lease_seconds / 2)
    found = await client.read(LEASES, namespace, "operator")
    assert found["spec"]["holderIdentity"] == "second"
    assert found["spec"]["leaseTransitions"] == 1


async def test_whoever_sees_that_another_one_has_it_stops_holding(
    client: KubeCluster, namespace: str
) -> None:
    first = candidate(client, namespace, "first")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    stolen = {"spec": {"holderIdentity": "thief"}}
    await client.merge(Place(LEASES, namespace, "operator"), stolen, manager="thief")
    assert await has(holding, within=1.0)
    await first.release()
    found = await client.read(LEASES, namespace, "operator")
    assert found["spec"]["holderIdentity"] == "thief", "what is not ours is not let go of"


async def test_a_lease_that_somebody_annotates_stays_its_holders(client: KubeCluster, namespace: str) -> None:
    first = candidate(client, namespace, "first")
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    note = {"metadata": {"annotations": {"example.test/note": "x"}}}
    await client.merge(Place(LEASES, namespace, "operator"), note, manager="somebody")
    assert not await has(holding, within=2 * PACE.lease_seconds)
    assert not first.overdue
    holding.cancel()


class Unreachable(KubeCluster):
    """A server that stops to answer."""

    away = False

    async def merge(self, *arguments: object, **more: object) -> dict[str, object]:
        if self.away:
            await asyncio.sleep(0.05)
            raise Transient("it is away")
        return await super().merge(*arguments, **more)  # type: ignore[arg-type]


async def test_whoever_cannot_renew_gives_up_before_anybody_else_may_take_over(
    cluster: Cluster, client: KubeCluster, namespace: str
) -> None:
    async with Unreachable(cluster.kubeconfig, context=cluster.context) as unreachable:
        first, second = candidate(unreachable, namespace, "first"), candidate(client, namespace, "second")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        waiting = asyncio.create_task(second.acquire())
        unreachable.away = True
        await asyncio.wait([holding, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert holding.done()
        assert not waiting.done()
        assert await has(waiting, within=2 * PACE.lease_seconds)
