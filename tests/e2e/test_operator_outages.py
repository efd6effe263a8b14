"""The API server is away, silent, forgetful or busy with others: a rollout goes on from where it was, as soon as it can."""

import asyncio
import base64
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from controller.clients.kube import DEPLOYMENTS, Place
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, operator
from tests.e2e.proxy import Proxy, before_tcp
from tests.parts.played_node import TOKEN
from tests.parts.servers import free_port

PATIENT = {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 300}}
NAMES = ("ws-1", "ws-2")


async def in_the_middle(ground: Operated, serving: Operator) -> None:
    """Ask for 0.1.1 while 0.1.0 runs, and come to where the one workspace is done and the other one has work."""
    for name in NAMES:
        await ground.workload(name)
    await ground.secret("control", use="control", hosts=f"{ground.namespace}.pod", token=TOKEN)
    entry = {"name": "agents", "namespaces": [ground.namespace], "controlTokenSecretName": "control"}
    await ground.make("0.1.0", rollout=PATIENT, targets={"workloads": [entry]})
    await ground.until_ready("0.1.0")
    ground.node.busy.add("ws-1")
    await ground.edit(version="0.1.1")
    await asyncio.to_thread(serving.process.until, "ws-1: Draining")
    await ground.until_runs(ws_1="0.1.0", ws_2="0.1.1")


def assert_rolled_once(ground: Operated) -> None:
    started = [pod for pod, image in ground.node.pods.items() if image.version == "0.1.1"]
    assert len(started) == len(NAMES), "each workload was given the image once"


def etcd(cluster: Cluster, path: str, body: object) -> dict[str, dict[str, str]]:
    """What the cluster's etcd answers."""
    with cluster.entered():
        connection = http.client.HTTPConnection("127.0.0.1", 2379, timeout=10)
        connection.connect()
    connection.request("POST", f"/v3/kv/{path}", json.dumps(body))
    answer = connection.getresponse()
    told: dict[str, dict[str, str]] = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, told
    return told


def forget(cluster: Cluster) -> None:
    """Have etcd know nothing of what was before now."""
    key = base64.b64encode(b"nothing").decode()
    revision = etcd(cluster, "range", {"key": key})["header"]["revision"]
    etcd(cluster, "compaction", {"revision": revision, "physical": True})


async def away(cluster: Cluster, seconds: float) -> None:
    """End the API server, and start it after a while; what was before, it does not remember."""
    forget(cluster)
    # The cluster's own controllers would take their time to come back.
    for daemon in ("controllers", "apiserver"):
        await asyncio.to_thread(cluster.end_daemon, daemon)
    await asyncio.sleep(seconds)
    for daemon in ("apiserver", "controllers"):
        await asyncio.to_thread(cluster.start_daemon, daemon)


@pytest.mark.parametrize("seconds", [0, pytest.param(60, marks=pytest.mark.long)])
async def test_a_rollout_goes_on_when_an_api_server_that_was_away_is_back(
    ground: Operated, serving: Operator, cluster: Cluster, seconds: int
) -> None:
    await in_the_middle(ground, serving)
    await away(cluster, seconds)
    ground.node.busy.clear()
    await ground.until_ready("0.1.1", seconds=60)
    await ground.edit(version="0.1.2")
    await ground.until_ready("0.1.2", seconds=60)
    assert_rolled_once(ground)
    assert serving.health("/healthz") == (200, "ok\n")
    assert [line for line in serving.lines() if "error" in line] == []


@pytest.mark.long
async def test_replicas_that_lost_their_lease_to_an_outage_agree_again_after_it(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    def replica(name: str) -> AbstractContextManager[Operator]:
        more = ("--lease=operator", f"--pod={name}")
        return operator(cluster, tmp_path / name, ground.namespace, url=ground.node.url, more=more)

    with replica("a") as first:
        await in_the_middle(ground, first)
        outage = asyncio.create_task(away(cluster, 60))
        ended = await asyncio.to_thread(first.process.end)
        assert ended.code == 1, "whoever cannot renew its lease ends"
    with replica("b") as second, replica("c") as third:
        await outage
        ground.node.busy.clear()
        await ground.until_ready("0.1.1", seconds=60)
        assert [each.leads() for each in (second, third)].count(True) == 1
    assert_rolled_once(ground)


@contextmanager
def over_a_line(cluster: Cluster, folder: Path) -> Iterator[tuple[Proxy, Path]]:
    """A way to the API server, and the kubeconfig that leads over it."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    own = ("127.0.0.1", free_port())
    config["clusters"][0]["cluster"]["server"] = f"https://{own[0]}:{own[1]}"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    with before_tcp((str(server.hostname), int(server.port or 443)), own) as proxy:
        yield proxy, path


@pytest.mark.long
async def test_an_edit_is_seen_though_every_stream_died_without_a_word(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    with over_a_line(cluster, tmp_path) as (line, kubeconfig):
        serving = operator(
            cluster,
            tmp_path,
            ground.namespace,
            url=ground.node.url,
            more=("--silence=2",),
            environment={"KUBECONFIG": str(kubeconfig)},
        )
        with serving:
            await ground.workload("ws-1")
            await ground.make("0.1.0")
            await ground.until_ready("0.1.0")
            line.fall_silent()
            await ground.edit(version="0.1.1")
            await ground.until_ready("0.1.1", seconds=60)


@asynccontextmanager
async def written_all_the_time(ground: Operated, *places: Place) -> AsyncIterator[None]:
    """Somebody else changes objects again and again, and never what is ours in them."""

    async def write(place: Place) -> None:
        for number in count():
            body = {"metadata": {"annotations": {"example.test/number": str(number)}}}
            await ground.client.merge(place, body, manager="somebody")
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(write(place)) for place in places]
    yield
    assert not any(task.done() for task in tasks), "they wrote to the end"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_rollout_gets_through_while_somebody_writes_the_same_objects_all_the_time(
    ground: Operated, serving: Operator
) -> None:
    for name in NAMES:
        await ground.workload(name)
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    places = [Place(DEPLOYMENTS, ground.namespace, name) for name in NAMES]
    async with written_all_the_time(ground, ground.place, *places):
        await ground.edit(version="0.1.1")
        await ground.until_ready("0.1.1", seconds=60)
    assert_rolled_once(ground)
    assert [line for line in serving.lines() if "error" in line] == []
