"""A workload gets another image only when its work is done, keeps it only when proven, and is nobody's twice."""

import asyncio
import re
from collections.abc import Callable

import pytest
import yaml

from controller.api.conditions import Reason
from controller.clients.disruption_budgets import BUDGETS
from controller.clients.kube import DEPLOYMENTS, Place, Resource
from controller.model.errors import Terminal
from controller.model.replacement import Cause, Replaced, RolledBack, StillBusy
from controller.model.roll import Marks
from controller.model.workload import Workload, WorkloadKind
from tests.cluster.cluster import Cluster
from tests.parts.workloads import CONTENT, Ground, reference

BOTH = list(WorkloadKind)
SECONDS = 20
QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 20):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def until_image(place: "Ground", image: str) -> None:
    for _ in range(SECONDS * 20):
        if image_of(await read(place)) == image:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(image)


async def read(place: Ground, kind: WorkloadKind = WorkloadKind.DEPLOYMENT) -> Workload:
    return await place.workloads.read(kind, place.namespace, "ws-1")


def image_of(workload: Workload) -> str:
    (container,) = workload.containers
    return container.image


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("replicas", [1, 3])
async def test_a_workload_is_rolled_and_proven_from_inside(
    place: Ground, kind: WorkloadKind, replicas: int
) -> None:
    await place.make(place.manifest(kind=kind, replicas=replicas))
    result = await place.roll(kind=kind, start_deadline_seconds=30.0)
    assert isinstance(result, Replaced), result
    target = await place.target()
    assert target.reports("0.1.6", CONTENT)
    assert not target.in_transition
    workload = await read(place, kind)
    assert Marks.of(workload) == Marks(place.owner, reference("0.1.6"))
    assert len(workload.containers) == 1


async def test_work_in_progress_is_drained_first(place: Ground) -> None:
    await place.make(place.manifest())
    place.node.busy.add("ws-1")
    rolling = asyncio.create_task(place.roll(drain_timeout_seconds=30.0))
    await until(lambda: bool(place.node.told))
    assert image_of(await read(place)) == reference("0.1.5"), "nothing changes while work is under way"
    place.node.busy.clear()
    assert isinstance(await rolling, Replaced)


async def test_one_that_stays_busy_is_left_as_it_was_and_takes_work_again(place: Ground) -> None:
    await place.make(place.manifest())
    place.node.busy.add("ws-1")
    result = await place.roll(drain_timeout_seconds=0.5)
    assert isinstance(result, StillBusy)
    assert result.active_tasks == 1
    assert [word.split()[0] for word in place.node.told] == ["drain", "resume"]
    workload = await read(place)
    assert (image_of(workload), Marks.of(workload)) == (reference("0.1.5"), Marks())


async def test_one_that_stays_busy_is_cut_where_the_document_says_so(place: Ground) -> None:
    await place.make(place.manifest())
    place.node.busy.add("ws-1")
    rolling = asyncio.create_task(place.roll(drain_timeout_seconds=0.5, on_timeout="Proceed"))
    assert isinstance(await rolling, Replaced)


async def test_without_a_token_a_busy_one_is_waited_for_from_outside(place: Ground) -> None:
    await place.make(place.manifest())
    place.node.busy.add("ws-1")
    result = await place.roll(token=None)
    assert isinstance(result, StillBusy)
    assert place.node.told == []
    place.node.busy.clear()
    assert isinstance(await place.roll(token=None), Replaced)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("crash", Cause.EXITED),
        ("silent", Cause.NEVER_READY),
        ("starting", Cause.NEVER_READY),
        ("pull", Cause.HOST),
    ],
)
async def test_a_new_image_that_does_not_prove_itself_is_taken_back(
    place: Ground, kind: WorkloadKind, fault: str, cause: Cause
) -> None:
    place.ship("0.1.6", fault=fault)
    await place.make(place.manifest(kind=kind))
    result = await place.roll(kind=kind, start_deadline_seconds=1.5)
    assert isinstance(result, RolledBack), result
    assert (result.cause, result.witnessed) == (cause, True)
    target = await place.target()
    assert target.reports("0.1.5", CONTENT)
    assert not target.in_transition
    assert Marks.of(await read(place, kind)) == Marks(place.owner, reference("0.1.5"))


async def test_an_image_whose_pod_runs_and_never_gets_ready_is_taken_back_and_blamed(place: Ground) -> None:
    place.ship("0.1.6", fault="unready")
    beside = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await place.make(place.manifest(strategy=beside))
    result = await place.roll(start_deadline_seconds=1.5)
    assert isinstance(result, RolledBack), result
    assert (result.cause, result.counts) == (Cause.NEVER_READY, True)
    assert re.fullmatch(r"1 of 1 pods are new; pod ws-1-\S+ runs and is not ready\.", result.message)


async def test_an_image_of_which_no_pod_was_made_is_taken_back_and_not_blamed(place: Ground) -> None:
    await place.make(place.manifest(kind=WorkloadKind.STATEFUL_SET))
    none = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await place.cluster.create(QUOTAS, place.namespace, none)
    result = await place.roll(kind=WorkloadKind.STATEFUL_SET, start_deadline_seconds=1.0)
    assert isinstance(result, RolledBack), result
    assert (result.cause, result.counts) == (Cause.HOST, False)
    told = f"0 of 1 pods are new; kubectl -n {place.namespace} describe statefulset/ws-1 says why."
    assert result.message == f"{told} The old image does not run again yet, either."


async def test_another_image_under_the_digest_is_no_proof(place: Ground) -> None:
    place.ship("0.1.6", digest="sha256:" + "e" * 64)
    await place.make(place.manifest())
    result = await place.roll()
    assert isinstance(result, RolledBack)
    assert result.cause is Cause.WRONG_VERSION
    assert "which is not the image asked for" in result.message


async def test_another_version_from_inside_is_no_proof(place: Ground) -> None:
    await place.make(place.manifest())
    result = await place.roll(content_sha256="d" * 64)
    assert isinstance(result, RolledBack)
    assert result.cause is Cause.WRONG_VERSION
    assert result.message.endswith(f"reports played 0.1.6 with content {CONTENT}, not 0.1.6.")


async def test_one_scaled_to_nothing_gets_the_image_and_is_not_started(place: Ground) -> None:
    await place.make(place.manifest(replicas=0))
    result = await place.roll()
    assert isinstance(result, Replaced)
    assert result.awaiting_first_start
    workload = await read(place)
    assert (image_of(workload), workload.replicas) == (reference("0.1.6"), 0)


async def test_what_a_killed_pass_began_is_ended_by_the_next(place: Ground) -> None:
    place.ship("0.1.6", fault="starting")
    await place.make(place.manifest())
    killed = asyncio.create_task(place.roll(start_deadline_seconds=60.0))
    await until_image(place, reference("0.1.6"))
    killed.cancel()
    target = await place.target()
    assert target.in_transition
    assert target.succession is not None
    assert (target.succession.version, target.succession.old_id) == ("0.1.6", reference("0.1.5"))
    place.ship("0.1.6")
    place.node.pods = {name: place.node.images[key] for name, key in _by_digest(place)}
    result = await place.roll(image=None)
    assert isinstance(result, Replaced), result
    assert Marks.of(await read(place)) == Marks(place.owner, reference("0.1.6"))


def _by_digest(place: Ground) -> list[tuple[str, str]]:
    by_version = {image.version: key for key, image in place.node.images.items()}
    return [(name, by_version[image.version]) for name, image in place.node.pods.items()]


async def test_what_a_killed_pass_began_goes_back_when_it_fails_and_blames_nobody(place: Ground) -> None:
    place.ship("0.1.6", fault="starting")
    await place.make(place.manifest())
    killed = asyncio.create_task(place.roll(start_deadline_seconds=60.0))
    await until_image(place, reference("0.1.6"))
    killed.cancel()
    result = await place.roll(image=None, start_deadline_seconds=1.0)
    assert isinstance(result, RolledBack)
    assert not result.counts, "what an interrupted action left does not speak against the version"
    assert image_of(await read(place)) == reference("0.1.5")


async def test_another_image_that_is_wanted_by_now_takes_the_place_of_what_was_begun(place: Ground) -> None:
    place.ship("0.1.6", fault="starting")
    place.ship("0.1.7", fault="silent")
    await place.make(place.manifest())
    killed = asyncio.create_task(place.roll(start_deadline_seconds=60.0))
    await until_image(place, reference("0.1.6"))
    killed.cancel()
    result = await place.roll("0.1.7", start_deadline_seconds=1.0)
    assert isinstance(result, RolledBack)
    assert image_of(await read(place)) == reference("0.1.5"), "back to what was proven, not to what was begun"


async def test_a_container_that_is_not_there_is_not_added(place: Ground) -> None:
    await place.make(place.manifest())
    with pytest.raises(Terminal) as caught:
        await place.roll(container="agent")
    assert caught.value.reason == Reason.CONTAINER_NOT_FOUND
    assert len((await read(place)).containers) == 1


# somebody else who writes the image, too; for every way to do so see e2e/test_operator_adoption


def _apply(cluster: Cluster, manifest: str) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=manifest)


async def test_the_image_is_taken_over_once_and_a_later_writer_is_not_fought(
    place: Ground, cluster: Cluster
) -> None:
    text = yaml.safe_dump(place.manifest())
    _apply(cluster, text)
    assert isinstance(await place.roll(), Replaced)
    assert (await place.target()).barred is None

    _apply(cluster, text)
    target = await place.target()
    assert target.barred is not None
    assert target.barred.reason == Reason.IMAGE_CONTESTED
    with pytest.raises(Terminal) as caught:
        await place.roll()
    assert caught.value.reason == Reason.IMAGE_CONTESTED
    assert image_of(await read(place)) == reference("0.1.5"), "nobody fights"


async def test_an_image_of_somebody_else_is_put_back_once_for_each_edit_where_that_is_asked_for(
    place: Ground, cluster: Cluster
) -> None:
    text = yaml.safe_dump(place.manifest())
    _apply(cluster, text)
    await place.roll()
    _apply(cluster, text)
    assert (await place.target(corrects=True)).barred is None
    assert isinstance(await place.roll(corrects=True), Replaced)
    assert image_of(await read(place)) == reference("0.1.6")
    _apply(cluster, text)
    barred = (await place.target(corrects=True)).barred
    assert barred is not None, "once, and then we stop and say so"
    assert barred.reason == Reason.IMAGE_CONTESTED
    assert (await place.target(corrects=True, edit="two")).barred is None


async def budgeted(place: Ground, name: str, **budget: int) -> None:
    """Make a PodDisruptionBudget over `ws-1` and `ws-2`, and wait until the cluster has counted their pods."""
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["ws-1", "ws-2"]}]}
    await place.cluster.create(
        BUDGETS,
        place.namespace,
        {"metadata": {"name": name}, "spec": {"selector": selector, **budget}},
    )
    async with asyncio.timeout(SECONDS):
        while True:
            found = await place.cluster.read(BUDGETS, place.namespace, name)
            if (found.get("status") or {}).get("currentHealthy") == 2:
                return
            await asyncio.sleep(0.1)


async def test_two_that_a_disruption_budget_counts_together_do_not_go_at_once(place: Ground) -> None:
    place.ship("0.1.6", fault="starting")
    for name in ("ws-1", "ws-2"):
        await place.make(place.manifest(name))
    await budgeted(place, "agents", maxUnavailable=1)
    first = asyncio.create_task(place.roll(start_deadline_seconds=60.0))
    await until_image(place, reference("0.1.6"))
    second = await place.roll(name="ws-2")
    assert isinstance(second, StillBusy), second
    told = r"PodDisruptionBudget agents lets no pod go now: [12] of 2 are healthy, 1 must be, and 1 of them are being replaced"
    assert re.fullmatch(told, second.reason)
    place.ship("0.1.6")
    place.node.pods = {name: place.node.images[key] for name, key in _by_digest(place)}
    assert isinstance(await first, Replaced)
    async with asyncio.timeout(SECONDS):  # until the cluster has counted the new pod
        while isinstance(second, StillBusy):
            second = await place.roll(name="ws-2")
    assert isinstance(second, Replaced), second


async def test_a_disruption_budget_that_never_lets_a_pod_go_is_for_nodes_that_are_emptied(
    place: Ground,
) -> None:
    for name in ("ws-1", "ws-2"):
        await place.make(place.manifest(name))
    await budgeted(place, "agents", minAvailable=2)
    assert isinstance(await place.roll(), Replaced)


async def test_a_workload_of_another_object_is_left_alone(place: Ground) -> None:
    await place.make(place.manifest())
    await place.roll(owner="elsewhere/other")
    barred = (await place.target()).barred
    assert barred is not None
    assert barred.reason == Reason.TARGET_OWNED
    assert barred.cause.startswith("WorkspaceRuntime elsewhere/other rolls it;")


async def test_nothing_but_the_image_and_our_annotations_is_written(place: Ground) -> None:
    await place.make(place.manifest())
    at = Place(DEPLOYMENTS, place.namespace, "ws-1")
    before = await place.cluster.read(at.resource, at.namespace, at.name)
    await place.roll()
    after = await place.cluster.read(at.resource, at.namespace, at.name)
    ours = {
        key: value
        for key, value in after["metadata"]["annotations"].items()
        if key.startswith("runtime.molecule.ai/")
    }
    assert set(ours) == {"runtime.molecule.ai/owner", "runtime.molecule.ai/image"}
    after["spec"]["template"]["spec"]["containers"][0]["image"] = reference("0.1.5")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
