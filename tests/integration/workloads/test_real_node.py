"""A real node starts another image in a running pod: same pod, address and volumes, and back again where it does not run."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from controller.model.errors import Transient
from controller.model.replacement import Replaced, RolledBack
from controller.model.workload import WorkloadKind
from tests.cluster.cluster import Cluster
from tests.cluster.place import NODE
from tests.parts.pod_proxy import pod_proxy
from tests.parts.real_workloads import RealWorkloads, real_workloads
from tests.parts.stand_in import StandIns, stand_ins

SET = WorkloadKind.STATEFUL_SET


@pytest.fixture(scope="module")
def images(engine: str, base_image: str) -> Iterator[StandIns]:
    with stand_ins(engine, base_image) as made:
        yield made


@pytest.fixture
async def place(
    cluster: Cluster, namespace: str, images: StandIns, engine: str
) -> AsyncIterator[RealWorkloads]:
    with pod_proxy(cluster) as url:
        async with real_workloads(cluster, namespace, images, engine=engine, url=url) as made:
            yield made


async def test_a_real_node_ends_and_starts_the_process_in_the_same_pod_and_takes_it_back_likewise(
    place: RealWorkloads,
) -> None:
    first, second, failing = place.ship("1.0"), place.ship("1.1"), place.ship("1.2", fault="refuse")
    await place.make(SET, "ws-1", first, updateStrategy={"type": "OnDelete"})
    before = await place.until_ready(SET, "ws-1")
    await place.run(before, "sh", "-c", "echo a note > /notes/note")
    result = await place.roll(SET, "ws-1", second, pulls_before=True)
    assert isinstance(result, Replaced), result
    after = await place.until_ready(SET, "ws-1")
    assert (after.uid, after.address, after.restarts) == (before.uid, before.address, 1)
    assert (after.image, after.digest) == (second.reference, second.digest)
    assert await place.run(after, "cat", "/notes/note") == "a note"

    # One that its node cannot pull ends nobody.
    gone = replace(first, reference=f"{first.reference.partition('@')[0]}@sha256:{'0' * 64}")
    with pytest.raises(Transient) as caught:
        await place.roll(SET, "ws-1", gone, pulls_before=True)
    assert str(caught.value).startswith(f"Node {NODE} cannot pull {gone.reference}: ")
    same = await place.until_ready(SET, "ws-1")
    assert (same.uid, same.image, same.restarts) == (before.uid, second.reference, 1)
    assert await place.pulls() == []

    # One that reports another version is taken back in the same pod, too.
    result = await place.roll(SET, "ws-1", failing)
    assert isinstance(result, RolledBack), result
    assert result.counts, result
    back = await place.until_ready(SET, "ws-1")
    assert (back.uid, back.address, back.image) == (before.uid, before.address, second.reference)

    # Whoever deletes the pod gets the same again.
    await place.workloads.delete_pod(back)
    anew = back
    async with asyncio.timeout(60):
        while anew.uid == back.uid:
            anew = await place.until_ready(SET, "ws-1")
    assert (anew.image, anew.revision) == (second.reference, back.revision)
