"""A StatefulSet that leaves its pods to others gets another image in the same pods where that is honest, and is never left half."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.clients.kube import PODS, STATEFUL_SETS, JsonObject, KubeCluster, Place, Resource
from controller.clients.kube_workloads import KubeWorkloads
from controller.model.replacement import Cause, Replaced, RolledBack, StillBusy
from controller.model.roll import Marks
from controller.model.workload import Pod, Workload, WorkloadKind
from controller.plan.workloads import behind
from tests.cluster.cluster import Cluster
from tests.parts.played_node import Fault
from tests.parts.workloads import CONTENT, Ground, reference

KIND = WorkloadKind.STATEFUL_SET
IN_PLACE: dict[str, Any] = {"kind": KIND, "in_place": True, "start_deadline_seconds": 20.0}
OLD, NEW = reference("0.1.5"), reference("0.1.6")


async def made(place: Ground, *, name: str = "ws-1", replicas: int = 1) -> None:
    on_delete = {"type": "OnDelete"}
    await place.make(place.manifest(name, kind=KIND, replicas=replicas, updateStrategy=on_delete))


async def seen(place: Ground, name: str = "ws-1") -> tuple[Workload, tuple[Pod, ...]]:
    workload = await place.workloads.read(KIND, place.namespace, name)
    return workload, await place.workloads.pods(workload, "workspace")


async def until(
    place: Ground, holds: Callable[[Workload, tuple[Pod, ...]], bool], name: str = "ws-1"
) -> tuple[Pod, ...]:
    """Wait for a state of it, and return its pods then."""
    async with asyncio.timeout(30):
        while True:
            workload, pods = await seen(place, name)
            if holds(workload, pods):
                return pods
            await asyncio.sleep(0.05)


def counted(workload: Workload, pods: tuple[Pod, ...]) -> bool:
    """Whether the cluster itself says that template and pods agree."""
    return workload.rolled and not behind(workload, pods, workload.containers[0].image)


async def edited(place: Ground, value: str) -> None:
    """Have the owner change the template in something else than the image."""
    container = {"name": "workspace", "env": [{"name": "TIER", "value": value}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    await place.cluster.apply(Place(STATEFUL_SETS, place.namespace, "ws-1"), body, manager="owner")


async def tier(place: Ground, pod: Pod) -> str | None:
    found = await place.cluster.read(PODS, place.namespace, pod.name)
    return next((each["value"] for each in found["spec"]["containers"][0].get("env") or ()), None)


async def test_the_image_is_changed_in_the_same_pod_and_the_cluster_counts_it(place: Ground) -> None:
    await made(place)
    _, (old,) = await seen(place)
    result = await place.roll(**IN_PLACE)
    assert isinstance(result, Replaced), result
    (new,) = await until(place, counted)
    assert (new.uid, new.image, new.restarts) == (old.uid, NEW, 1)
    assert (await place.target()).reports("0.1.6", CONTENT)
    workload, _ = await seen(place)
    assert Marks.of(workload) == Marks(place.owner, NEW)
    # Whoever deletes the pod afterwards gets the same.
    await place.workloads.delete_pod(new)
    (anew,) = await until(
        place, lambda _, pods: [pod.running and pod.uid != new.uid for pod in pods] == [True]
    )
    assert (anew.image, anew.revision) == (NEW, new.revision)


async def test_where_pods_may_not_be_patched_they_are_made_anew(place: Ground) -> None:
    await made(place)
    _, (old,) = await seen(place)
    result = await place.roll(**IN_PLACE | {"in_place": False})
    assert isinstance(result, Replaced), result
    (new,) = await until(place, counted)
    assert new.uid != old.uid
    assert place.node.told == ["drain ws-1-0"]


async def test_a_pod_that_differs_in_more_than_the_image_is_made_anew(place: Ground) -> None:
    await made(place)
    await edited(place, "2")
    _, (old,) = await seen(place)
    assert isinstance(await place.roll(**IN_PLACE), Replaced)
    (new,) = await until(place, counted)
    assert new.uid != old.uid
    assert await tier(place, new) == "2"


async def test_a_template_that_its_owner_changes_in_the_middle_is_what_the_pod_runs_at_the_end(
    place: Ground,
) -> None:
    place.ship("0.1.6", fault="starting")
    await made(place)
    rolling = asyncio.create_task(place.roll(**IN_PLACE))
    await until(place, lambda _, pods: [pod.image for pod in pods] == [NEW])
    await edited(place, "3")
    place.ship("0.1.6")
    place.node.pods["ws-1-0"] = place.node.images[NEW.rpartition("@")[2]]
    assert isinstance(await rolling, Replaced)
    (new,) = await until(place, counted)
    assert await tier(place, new) == "3"


async def test_a_new_image_that_fails_in_the_same_pod_is_taken_back_there(place: Ground) -> None:
    place.ship("0.1.6", fault="crash")
    await made(place)
    _, (old,) = await seen(place)
    result = await place.roll(**IN_PLACE)
    assert isinstance(result, RolledBack), result
    assert (result.cause, result.counts) == (Cause.EXITED, True)
    (back,) = await until(place, counted)
    assert (back.uid, back.image, back.revision) == (old.uid, OLD, old.revision)
    workload, _ = await seen(place)
    assert Marks.of(workload) == Marks(place.owner, OLD)


async def test_a_pod_that_somebody_gave_another_image_is_seen_and_gets_the_templates(place: Ground) -> None:
    await made(place)
    assert isinstance(await place.roll(**IN_PLACE), Replaced)
    (pod,) = await until(place, counted)
    await place.workloads.set_pod_image(pod, "workspace", OLD, revision=pod.revision)
    await until(place, lambda _, pods: [each.restarts for each in pods] == [2])
    assert (await place.target()).image_id == OLD.rpartition("@")[2]
    result = await place.roll(**IN_PLACE)
    assert isinstance(result, Replaced), result
    (back,) = await until(place, counted)
    assert (back.uid, back.image, back.restarts) == (pod.uid, NEW, 3)


async def test_a_process_that_ends_by_itself_while_it_is_drained_is_not_taken_for_the_new_one(
    place: Ground,
) -> None:
    await made(place)
    place.node.busy.add("ws-1-0")
    rolling = asyncio.create_task(place.roll(**IN_PLACE, drain_timeout_seconds=30.0))
    await until(place, lambda *_: bool(place.node.told))
    await place.node.restart("ws-1-0")
    place.node.asleep = True
    place.node.busy.clear()
    await until(place, lambda _, pods: [pod.image for pod in pods] == [NEW])
    done, _ = await asyncio.wait({rolling}, timeout=1.5)
    assert not done, "its old process still runs"
    place.node.asleep = False
    assert isinstance(await rolling, Replaced)
    (pod,) = await until(place, counted)
    assert pod.restarts == 2


async def test_of_several_pods_one_follows_the_other_and_each_is_drained_before(place: Ground) -> None:
    await made(place, replicas=3)
    _, old = await seen(place)
    assert isinstance(await place.roll(**IN_PLACE), Replaced)
    new = await until(place, counted)
    assert [pod.uid for pod in new] == [pod.uid for pod in old]
    assert [pod.restarts for pod in new] == [1, 1, 1]
    assert place.node.told == ["drain ws-1-2", "drain ws-1-1", "drain ws-1-0"]


async def test_one_that_is_busy_in_the_middle_is_waited_for_and_the_next_pass_goes_on(place: Ground) -> None:
    await made(place, replicas=2)
    place.node.busy.add("ws-1-0")
    result = await place.roll(**IN_PLACE, drain_timeout_seconds=0.5)
    assert isinstance(result, StillBusy), result
    _, pods = await seen(place)
    assert [pod.image for pod in pods] == [OLD, NEW]
    assert (await place.target()).in_transition
    place.node.busy.clear()
    result = await place.roll(**IN_PLACE, image=None)
    assert isinstance(result, Replaced), result
    assert [pod.restarts for pod in await until(place, counted)] == [1, 1]


class Killed(BaseException):
    """Nobody tidies up."""


class Mortal(KubeCluster):
    """Dies once the server has its `last` write."""

    last = 0

    async def apply(
        self, at: Place, body: Mapping[str, Any], *, manager: str, force: bool = False
    ) -> JsonObject:
        written = await super().apply(at, body, manager=manager, force=force)
        self._die()
        return written

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        await super().delete(resource, namespace, name, uid=uid)
        self._die()

    def _die(self) -> None:
        self.last -= 1
        if self.last == 0:
            raise Killed


@pytest.mark.parametrize(
    ("fault", "in_place", "writes"),
    [("", True, 4), ("crash", True, 5), ("", False, 3), ("crash", False, 5)],
)
async def test_a_kill_after_any_write_loses_nothing_and_does_nothing_twice(
    place: Ground, cluster: Cluster, fault: Fault, *, in_place: bool, writes: int
) -> None:
    place.ship("0.1.6", fault=fault)
    order = IN_PLACE | {"in_place": in_place, "start_deadline_seconds": 4.0 if fault else 20.0}

    async def killed(last: int) -> bool:
        """Kill one roll after so many writes, and let the next pass end it; return whether it came to that."""
        name = f"ws-{last}"
        await made(place, name=name)
        _, (old,) = await seen(place, name)
        died = False
        async with Mortal(cluster.kubeconfig, context=cluster.context) as mortal:
            mortal.last = last
            try:
                await replace(place, workloads=KubeWorkloads(mortal)).roll(**order, name=name)
            except Killed:
                died = True
        async with asyncio.timeout(60):
            while Marks.of((await seen(place, name))[0]).roll is not None:
                result = await place.roll(**order, name=name, image=None)
                assert isinstance(result, RolledBack if fault else Replaced), (last, result)
        (new,) = await until(place, counted, name)
        workload, _ = await seen(place, name)
        assert Marks.of(workload) == Marks(place.owner, OLD if fault else NEW), last
        assert (new.image, new.running) == (OLD if fault else NEW, True), last
        assert (new.uid == old.uid) is in_place, last
        assert place.node.restarts.get(f"{name}-0", 0) == (0 if not in_place else 2 if fault else 1), last
        return died

    deaths = await asyncio.gather(*(killed(last) for last in range(1, writes + 2)))
    assert deaths == [*[True] * writes, False]
