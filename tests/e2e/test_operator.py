"""The operator beside a real API server: one edit of the object reaches its workloads, whatever happens in between."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.clients.kube import DEPLOYMENTS, Place
from controller.clients.lease import LEASES
from controller.operator.image_names import CONFIG_MAPS
from controller.operator.store import OBJECTS
from tests.cluster.cluster import Cluster
from tests.e2e.operated import VERSIONS, Operated, Operator, condition, defined, operated, operator


@pytest.fixture
async def ground(cluster: Cluster, namespace: str, registry: str) -> AsyncIterator[Operated]:
    defined(cluster)
    async with operated(cluster, namespace, registry) as made:
        yield made


@pytest.fixture
def serving(cluster: Cluster, ground: Operated, tmp_path: Path) -> Iterator[Operator]:
    with operator(cluster, tmp_path, ground.namespace, url=ground.node.url) as process:
        yield process


def listed(cluster: Cluster) -> int:
    """How many lists of what the operator looks at the API server has answered so far."""
    _, metrics = cluster.api.ask("/metrics")
    kinds = "deployments|statefulsets|pods|persistentvolumeclaims|secrets|workspaceruntimes|jobs"
    counted = re.findall(
        rf'^apiserver_request_total\{{.*resource="(?:{kinds})".*verb="LIST".*\}} (\d+)$',
        metrics["message"],
        re.MULTILINE,
    )
    return sum(int(each) for each in counted)


async def test_one_edit_rolls_every_workload_and_the_status_says_so_throughout(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    await ground.workload("ws-2")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    await ground.edit(version="0.1.1")
    state = await ground.until_ready("0.1.1")
    assert await ground.images() == {"ws-1": "0.1.1", "ws-2": "0.1.1"}
    assert state["status"]["rollout"]["progress"] == "2/2"
    names = await ground.client.read(CONFIG_MAPS, ground.namespace, "runtime-images")
    assert names["data"] == {"echo": state["status"]["templates"][0]["image"]}
    assert state["metadata"]["finalizers"] == ["runtime.molecule.ai/operator"]
    assert "annotations" not in state["metadata"]
    first = next(state for state in ground.states if "status" in state)
    assert condition(first, "Ready")["status"] == "Unknown"
    assert condition(first, "Reconciling")["status"] == "True"
    assert serving.health("/healthz") == (200, "ok\n")
    status, body = serving.health("/readyz")
    assert (status, json.loads(body)["leading"]) == (200, True)
    assert {line["object"] for line in serving.lines() if "object" in line} == {f"{ground.namespace}/runtime"}


async def test_an_object_at_rest_is_never_written_and_nothing_is_listed(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    ground.node.asleep = True
    await ground.until_nobody_deletes()
    await asyncio.sleep(3)
    before = ground.writes(), listed(cluster)
    await ground.client.list(DEPLOYMENTS, ground.namespace)
    assert listed(cluster) == before[1] + 1, "lists are counted"
    await ground.edit(annotations={"requested-at": "now"})
    await ground.until(lambda state: state["status"].get("lastHandledReconcileAt") == "now")
    await asyncio.sleep(5)
    assert ground.writes() == before[0] + 2, "the annotation, and its echo"
    assert listed(cluster) == before[1] + 1
    assert serving.health("/healthz")[0] == 200


async def test_of_ten_edits_in_five_seconds_the_last_one_wins(ground: Operated, serving: Operator) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    for number in range(10):
        await ground.edit(version=VERSIONS[number % 2])
        await asyncio.sleep(0.5)
    await ground.edit(version="0.1.2")
    await ground.until_ready("0.1.2")
    await ground.until_runs(ws_1="0.1.2")
    assert [line for line in serving.lines() if line["level"] == "error"] == []


async def test_an_operator_that_is_killed_in_the_middle_of_a_rollout_is_followed_by_one_that_goes_on(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        await ground.workload(f"ws-{number}")
    await ground.make("0.1.0", rollout={"maxUnavailable": 1, "drain": {"timeoutSeconds": 5}})
    with operator(cluster, tmp_path / "1", ground.namespace, url=ground.node.url) as first:
        await ground.until_ready("0.1.0")
        await ground.edit(version="0.1.1")
        await asyncio.to_thread(first.process.until, "Waiting for the proof")
        first.process.kill()
    assert set((await ground.images()).values()) == {"0.1.0", "0.1.1"}
    with operator(cluster, tmp_path / "2", ground.namespace, url=ground.node.url):
        await ground.until_ready("0.1.1")
    assert set((await ground.images()).values()) == {"0.1.1"}


async def test_a_standby_takes_over_within_15_seconds_and_at_once_from_one_that_ends_well(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(
                operator(
                    cluster,
                    tmp_path / name,
                    ground.namespace,
                    url=ground.node.url,
                    more=("--lease=operator", f"--pod={name}"),
                )
            )
            for name in ("a", "b", "c")
        ]
        await ground.until_ready("0.1.0")
        first = next(each for each in replicas if each.leads())
        assert [each.health("/readyz")[0] for each in replicas] == [200] * 3
        killed = datetime.now(UTC)
        first.process.kill()
        replicas.remove(first)
        await ground.edit(version="0.1.1")
        await ground.until_ready("0.1.1")
        assert [each.leads() for each in replicas].count(True) == 1
        second = next(each for each in replicas if each.leads())
        assert second.when("Serving namespaces") - killed < timedelta(seconds=15)
        ended = await asyncio.to_thread(second.process.interrupt)
        assert ended.code == 0
        replicas.remove(second)
        await ground.edit(version="0.1.2")
        await ground.until_ready("0.1.2")
        took = replicas[0].when("Serving namespaces") - second.when("Ending as told")
        assert took < timedelta(seconds=5)
    transitions = (await ground.client.read(LEASES, ground.namespace, "operator"))["spec"]["leaseTransitions"]
    assert transitions == 2


async def test_a_replica_that_loses_its_lease_ends(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    await ground.make("0.1.0")
    more = ("--lease=operator",)
    with operator(cluster, tmp_path, ground.namespace, url=ground.node.url, more=more) as process:
        await ground.until_ready("0.1.0")
        stolen = {"spec": {"holderIdentity": "somebody-else"}}
        await ground.client.merge(Place(LEASES, ground.namespace, "operator"), stolen, manager="a-thief")
        ended = await asyncio.to_thread(process.process.end)
        assert ended.code == 1
        assert process.lines()[-1]["message"] == "Ending: another replica may have the lease by now"


async def test_a_deleted_object_goes_and_its_workloads_run_on(ground: Operated, serving: Operator) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0", rollout={"drain": {"timeoutSeconds": 60}})
    await ground.until_ready("0.1.0")
    ground.node.busy.add("ws-1")
    await ground.edit(version="0.1.1")
    await asyncio.to_thread(serving.process.until, "Draining")
    await ground.client.delete(OBJECTS, ground.namespace, "runtime")
    await ground.until_gone()
    assert await ground.images() == {"ws-1": "0.1.0"}
    assert serving.health("/healthz") == (200, "ok\n")


async def test_a_namespace_goes_with_the_objects_in_it(
    cluster: Cluster, registry: str, tmp_path: Path
) -> None:
    defined(cluster)
    name = f"t-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    async with operated(cluster, name, registry) as ground:
        with operator(cluster, tmp_path, name, url=ground.node.url) as serving:
            await ground.workload("ws-1")
            await ground.make("0.1.0")
            await ground.until_ready("0.1.0")
            await asyncio.to_thread(cluster.kubectl, "delete", "namespace", name, "--timeout=60s")
            assert serving.process.process.poll() is None
            assert [line for line in serving.lines() if "error" in line] == []


async def test_of_two_objects_that_claim_one_workload_the_second_touches_nothing_and_says_so(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.1")
    await ground.until_ready("0.1.1")
    await ground.until_runs(ws_1="0.1.1")
    second = ground.document("0.1.0")
    second["metadata"]["name"] = "second"
    await ground.client.create(OBJECTS, ground.namespace, second)
    message = await ground.until_stalled("TargetOwned", name="second")
    assert f"{ground.namespace}/runtime" in message
    assert await ground.images() == {"ws-1": "0.1.1"}
    assert serving.process.process.poll() is None
