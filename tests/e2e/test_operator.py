"""The operator beside a real API server: one edit of the object reaches its workloads, whatever happens in between."""

import asyncio
import json
import re
import secrets
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.api.names import NAMESPACE_ALLOWED_FROM
from controller.clients.kube import DEPLOYMENTS, Place
from controller.clients.lease import LEASES
from controller.operator.image_names import CONFIG_MAPS
from controller.operator.store import OBJECTS
from tests.cluster.cluster import Cluster
from tests.e2e.operated import (
    VERSIONS,
    Operated,
    Operator,
    condition,
    defined,
    eventually,
    operated,
    operator,
)
from tests.parts.played_node import TOKEN


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


CLOCKS = {"a": timedelta(), "b": timedelta(minutes=-7), "c": timedelta(minutes=7)}
"""How fast the clock of each replica is."""


async def test_a_standby_takes_over_within_15_seconds_and_at_once_from_one_that_ends_well_whatever_their_clocks_say(
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
                    fast=fast,
                )
            )
            for name, fast in CLOCKS.items()
        ]
        await ground.until_ready("0.1.0")
        # Whoever took a clock for another one's would have taken the lease by now.
        await until_renewed(ground, times=2)
        assert [each.process.process.poll() for each in replicas] == [None] * 3
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
        assert took < timedelta(seconds=10)
        assert [line for each in replicas for line in each.lines() if "error" in line] == []
    transitions = (await ground.client.read(LEASES, ground.namespace, "operator"))["spec"]["leaseTransitions"]
    assert transitions == 2
    started = [image.version for image in ground.node.pods.values()]
    assert sorted(started) == list(VERSIONS), "the workload was given each image once"


async def until_renewed(ground: Operated, *, times: int) -> None:
    """Wait until the lease was renewed so often."""
    seen: set[str] = set()

    async def often() -> bool:
        seen.add((await ground.client.read(LEASES, ground.namespace, "operator"))["spec"]["renewTime"])
        return len(seen) > times

    await eventually(often)


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


async def test_namespaces_go_in_the_middle_of_a_rollout_with_all_that_is_in_them(
    cluster: Cluster, registry: str, tmp_path: Path
) -> None:
    defined(cluster)
    name = f"t-{secrets.token_hex(3)}"
    targets = f"{name}-targets"
    for each in (name, targets):
        cluster.kubectl("create", "namespace", each)
    cluster.kubectl("label", "namespace", targets, f"{NAMESPACE_ALLOWED_FROM}={name}")
    async with operated(cluster, name, registry) as ground:
        with operator(cluster, tmp_path, name, targets, url=ground.node.url) as serving:
            await ground.secret("control", use="control", hosts=f"{name}.pod,{targets}.pod", token=TOKEN)
            entry = {
                "name": "agents",
                "namespaces": [name, targets],
                "controlTokenSecretName": "control",
            }
            rollout = {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 300}}
            await ground.workload("ws-1")
            await ground.make("0.1.0", targets={"workloads": [entry]}, rollout=rollout)
            await ground.until_ready("0.1.0")
            ground.node.busy.add("ws-1")
            await ground.edit(version="0.1.1")
            await asyncio.to_thread(serving.process.until, "ws-1: Draining")
            # Nobody runs its pod, so that it is waited for.
            await replace(ground, namespace=targets).workload("ws-2")
            await asyncio.to_thread(serving.process.until, "ws-2: Waiting for the proof", seconds=60)
            await asyncio.to_thread(cluster.kubectl, "delete", "namespace", targets, "--timeout=60s")
            gone = f'Could not read Namespace {targets}: namespaces "{targets}" not found'
            await ground.until(lambda state: gone in condition(state, "Ready").get("message", ""))
            await asyncio.to_thread(cluster.kubectl, "delete", "namespace", name, "--timeout=60s")
            assert serving.process.process.poll() is None
            assert [line for line in serving.lines() if "error" in line] == []
