"""A thousand workspaces on one control plane: a roll against a bare client, and what an operator costs that has nothing to do."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from controller.api.names import LABEL_MANAGED, NAMESPACE_ALLOWED_FROM
from controller.clients.kube import DEPLOYMENTS, NAMESPACES, JsonObject, KubeCluster, Place
from tests.bench.figures import Figure, at_most
from tests.bench.fleet_runtimes import TOKEN
from tests.bench.site import Site, listed, say
from tests.cluster import audit, daemons
from tests.cluster.cluster import Cluster, own_cluster
from tests.cluster.fake_nodes import ON_FAKE_NODES, fake_nodes
from tests.contract.record_promises import record
from tests.e2e.operated import VERSIONS, Operated, condition, defined, hearing, is_current, operator, release
from tests.parts.ground import REPOSITORY
from tests.parts.played_node import PlayedNode
from tests.parts.servers import free_port, launch

_OURS, _BARE = "ours", "bare"
_ACCOUNTS = ("operator", "bare")
_PATIENCE_SECONDS = 900.0
_AT_ONCE = 32
_SETTLES_SECONDS = 15.0
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_LIMITS = "kube-controller-manager and scheduler at 1,000 requests a second, 50 syncs at once, for both"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    workspaces: int = 1000
    nodes: int = 20
    pairs: int = 3
    idle_seconds: float = 300.0
    edits: int = 100


@dataclass(frozen=True)
class Samples:
    """What was seen, in seconds, MiB and requests."""

    ours: list[float]
    bare: list[float]
    resting_mib: float
    peak_mib: float
    asked_idle: list[str]
    drifts: list[float]


def measure(site: Site) -> list[Figure]:
    """Both sides by turns, then five minutes of nothing, then edits by hand."""
    scale = Scale(pairs=site.pairs)
    folder = site.folder / "fleet"
    folder.mkdir()
    return figures(scale, seen(scale, folder))


def figures(scale: Scale, samples: Samples) -> list[Figure]:
    """The figures of what was seen."""
    idle = float(len(samples.asked_idle))
    slowest = sorted(samples.drifts)[max(0, -(-len(samples.drifts) * 99 // 100) - 1)]
    fleet = (
        f"{scale.workspaces} Deployments of one pod on {scale.nodes} nodes of kwok, one real control plane"
    )
    return [
        Figure.times_the_floor("fleet.ratio", samples.ours, samples.bare, how=f"an edit of the version until Ready, all drained and proven over HTTP, against a client that patches all images at once, watches the pods and asks each what it runs; {fleet}; {_LIMITS}; maxUnavailable 100 %; median of the pairs", bar=at_most(1.3)),
        Figure("fleet.memory", round(samples.peak_mib, 1), "MiB", f"the largest resident memory of `python -m controller` over all of that ({samples.resting_mib:.0f} MiB at rest); {fleet}", (samples.peak_mib,), bar=at_most(180)),
        Figure("fleet.idleWrites", idle, "asked", f"writes and lists of the operator's account in the API server's audit log in {scale.idle_seconds:g} s at rest, without a Lease; {fleet}", (idle,), bar=at_most(0)),
        Figure("drift.p99", round(slowest, 3), "s", f"an image written by hand until the condition says so, the 99th percentile of {len(samples.drifts)} edits one after the other; {fleet}", tuple(round(each, 3) for each in samples.drifts), bar=at_most(1)),
    ]  # fmt: skip


def seen(scale: Scale, folder: Path) -> Samples:
    """Measure on a cluster of its own, of which nothing is left."""
    with own_cluster() as cluster, fake_nodes(cluster, scale.nodes):
        defined(cluster)
        tokens = _accounts(cluster)
        with cluster.entered():
            return asyncio.run(_Fleet(cluster, scale, folder, tokens).seen())


def _accounts(cluster: Cluster) -> dict[str, Path]:
    """Make both namespaces and an account for each side that may do everything; their kubeconfigs, from inside."""
    for namespace in (_OURS, _BARE):
        cluster.kubectl("create", "namespace", namespace)
        cluster.kubectl("-n", namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    files = {}
    for name in _ACCOUNTS:
        cluster.kubectl("-n", _OURS, "create", "serviceaccount", name)
        subject = f"--serviceaccount={_OURS}:{name}"
        cluster.kubectl("create", "clusterrolebinding", name, "--clusterrole=cluster-admin", subject)
        token = cluster.kubectl("-n", _OURS, "create", "token", name, "--duration=24h").stdout.strip()
        document = yaml.safe_load(cluster.own.kubeconfig("admin").read_text())
        document["users"][0]["user"] = {"token": token}
        files[name] = cluster.own.folder("fleet") / f"{name}.kubeconfig"
        files[name].write_text(json.dumps(document))
    return files


@contextmanager
def runtimes(cluster: Cluster, log: Path, images: dict[str, str], *namespaces: str) -> Iterator[str]:
    """Run the server that answers for all pods; gives the way to it."""
    port = free_port()
    told = {
        image.partition("@")[2]: (version, record(version).content_sha256)
        for version, image in images.items()
    }
    kubeconfig = str(cluster.own.kubeconfig("admin"))
    arguments = [kubeconfig, str(port), json.dumps(told), *namespaces]
    command = [*cluster.inside, sys.executable, "-m", "tests.bench.fleet_runtimes", *arguments]
    process = launch(command, log=log, environment={"PYTHONPATH": str(REPOSITORY)})
    try:
        daemons.wait_for_port(f"127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}/{{namespace}}/{{pod}}"
    finally:
        process.end(seconds=2)


@dataclass(frozen=True)
class _Fleet:
    cluster: Cluster
    scale: Scale
    folder: Path
    accounts: dict[str, Path]

    async def seen(self) -> Samples:
        repository = f"{self.cluster.registry_inside}/fleet"
        images = await release(repository, f"{_OURS}/runtime", named=repository)
        async with KubeCluster(self.cluster.own.kubeconfig("admin")) as client:
            ground = Operated(client, _OURS, PlayedNode(client, _OURS), repository, images)
            label = {"metadata": {"labels": {NAMESPACE_ALLOWED_FROM: _OURS}}}
            await client.merge(Place(NAMESPACES, None, _OURS), label, manager="bench")
            await ground.secret("control", use="control", hosts=f"{_OURS}.pod", token=TOKEN)
            with ExitStack() as stack:
                log = self.folder / "runtimes.log"
                url = stack.enter_context(runtimes(self.cluster, log, images, _OURS, _BARE))
                for namespace in (_OURS, _BARE):
                    await self._create(client, namespace, images[VERSIONS[0]])
                async with hearing(ground):
                    return await self._measured(ground, url, stack)

    async def _create(self, client: KubeCluster, namespace: str, image: str) -> None:
        began, turns = time.monotonic(), asyncio.Semaphore(_AT_ONCE)

        async def create(number: int) -> None:
            async with turns:
                await client.create(DEPLOYMENTS, namespace, _workspace(f"ws-{number}", image))

        await asyncio.gather(*map(create, range(self.scale.workspaces)))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                found = (await client.list(DEPLOYMENTS, namespace)).items
                if sum(each.get("status", {}).get("availableReplicas") == 1 for each in found) == len(found):
                    break
                await asyncio.sleep(2)
        say(f"fleet: {len(found)} workspaces {namespace} in {time.monotonic() - began:.1f} s")

    async def _measured(self, ground: Operated, url: str, stack: ExitStack) -> Samples:
        kubeconfig = {"KUBECONFIG": str(self.accounts["operator"])}
        started = operator(
            self.cluster, self.folder / "operator", _OURS, url=url, inside=True, environment=kubeconfig
        )
        process = stack.enter_context(started).process.process
        workloads = {"name": "agents", "namespaces": [_OURS], "controlTokenSecretName": "control"}
        drain = {"timeoutSeconds": 60}
        began = time.monotonic()
        await ground.make(
            targets={"workloads": [workloads]}, rollout={"maxUnavailable": "100%", "drain": drain}
        )
        await ground.until_ready(VERSIONS[0], seconds=_PATIENCE_SECONDS)
        say(f"fleet: Ready for the first time after {time.monotonic() - began:.1f} s")
        sides: tuple[tuple[Callable[[int], Awaitable[float]], list[float]], ...]
        sides = ((lambda n: self._ours(ground, n), []), (lambda n: self._bare(url, ground.released, n), []))
        for number in range(self.scale.pairs):
            for turn in range(len(sides)):
                side, samples = sides[(number + turn) % len(sides)]
                samples.append(await side(number))
            say(f"fleet: ours {listed(sides[0][1])} s, bare {listed(sides[1][1])} s, {_memory(process.pid)}")
        await asyncio.sleep(_SETTLES_SECONDS)
        idle = await self._idle()
        resting = _memory(process.pid)["VmRSS"]
        drifts = [await self._drift(ground, number) for number in range(self.scale.edits)]
        say(f"fleet: drift {listed(drifts)} s, {_memory(process.pid)}")
        return Samples(sides[0][1], sides[1][1], resting, _memory(process.pid)["VmHWM"], idle, drifts)

    async def _ours(self, ground: Operated, number: int) -> float:
        """Seconds from an edit of the version until all is true that was asked for."""
        version = _version(number)
        began = time.monotonic()
        await ground.edit(version=version)
        await ground.until_ready(version, seconds=_PATIENCE_SECONDS)
        return time.monotonic() - began

    async def _bare(self, url: str, images: dict[str, str], number: int) -> float:
        """Seconds that the bare client takes for the same in its own namespace."""
        version = _version(number)
        wanted = (images[version], version, record(version).content_sha256)
        command = [*self.cluster.inside, sys.executable, "-m", "tests.bench.fleet_bare"]
        command += [str(self.accounts["bare"]), _BARE, url, *wanted]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS, cwd=REPOSITORY
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    async def _idle(self) -> list[str]:
        """What the operator writes and lists while nothing happens."""
        before = audit.asked(self.cluster, "operator", _OURS)
        assert any(each.right.verb == "list" for each in before), "its lists are counted"
        await asyncio.sleep(self.scale.idle_seconds)
        since = audit.asked(self.cluster, "operator", _OURS)[len(before) :]
        told = [str(each.right) for each in since if each.right.verb in _WRITES | {"list"}]
        say(f"fleet: at rest {len(since)} requests, of which writes and lists: {told[:5]}")
        return told

    async def _drift(self, ground: Operated, number: int) -> float:
        """Seconds from an image written by hand until the condition names its workspace; it is as before afterwards."""
        name = f"ws-{number % self.scale.workspaces}"
        at = Place(DEPLOYMENTS, _OURS, name)
        before = (await ground.client.read(DEPLOYMENTS, _OURS, name))["spec"]["template"]["spec"]
        image = before["containers"][0]["image"]
        other = next(each for each in ground.released.values() if each != image)
        began = time.monotonic()
        await ground.client.apply(at, _image(other), manager="a-user", force=True)
        await ground.until(lambda state: _names(state, f"{_OURS}/Deployment/{name}"))
        took = time.monotonic() - began
        await ground.client.apply(at, _image(image), manager="a-user", force=True)
        await ground.until(lambda state: is_current(state) and condition(state, "Ready")["status"] == "True")
        return took


def _names(state: JsonObject, target: str) -> bool:
    """Whether the object is not Ready, and says so of a target."""
    return condition(state, "RolledOut")["status"] != "True" and target in json.dumps(state["status"])


def _version(number: int) -> str:
    return VERSIONS[(number + 1) % len(VERSIONS)]


def _image(image: str) -> JsonObject:
    return {"spec": {"template": {"spec": {"containers": [{"name": "workspace", "image": image}]}}}}


def _workspace(name: str, image: str) -> JsonObject:
    pod = {"containers": [{"name": "workspace", "image": image}], **ON_FAKE_NODES}
    return {
        "metadata": {"name": name, "labels": {LABEL_MANAGED: "true"}},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def _memory(pid: int) -> dict[str, float]:
    """Resident memory of a process in MiB: now (VmRSS) and the largest so far (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}
