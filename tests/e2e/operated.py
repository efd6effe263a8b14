"""An operator beside a cluster, an object in it, and all that becomes of both."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from controller.api.names import LABEL_MANAGED, NAMESPACE_ALLOWED_FROM
from controller.api.status import Status
from controller.clients.kube import (
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    JsonObject,
    KubeCluster,
    Listed,
    Place,
    Resource,
)
from controller.clients.kube_follow import follow
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord, Verdict
from controller.model.template_record import TemplateRecord
from controller.operator.store import OBJECTS
from controller.plan.changes.labels import labels_of
from controller.status.invariants import broken, broken_between
from tests.cluster.cluster import Cluster
from tests.contract.record_promises import NOON, record
from tests.contract.released import keep, push
from tests.e2e.wsr import Running
from tests.parts.played_node import SCHEDULER, PlayedNode, from_registry, played_node
from tests.parts.servers import free_port

EVENTS: Final = Resource("v1", "events", "Event")
VERSIONS: Final = ("0.1.0", "0.1.1", "0.1.2")
_ROOT: Final = Path(__file__).resolve().parents[2]


class Releasing(Protocol):
    """Records versions of an object, and returns the image of each."""

    async def __call__(self, repository: str, publisher: str, *, named: str) -> dict[str, str]:
        """See `release`."""


async def release(repository: str, publisher: str, *, named: str) -> dict[str, str]:
    """Record that every one of `VERSIONS` was built, proven, and published by an object; the first is good already.

    The image of each is returned as workloads name it; `named` is what they call the repository.
    """
    images = {}
    for version in VERSIONS:
        judged = Verdict(value="Good", reason="UpToDate", time=NOON) if version == VERSIONS[0] else None
        whole: ReleaseRecord = record(version, publisher=publisher, published_time=NOON, verdict=judged)
        digest = await push(f"{repository}/echo", f"{version}-x", labels=labels_of(whole))
        image = TemplateRecord(image=f"{named}/echo:{version}-x", digest=digest, image_id=digest, proven=True)
        await keep(repository, whole.with_template("echo", image))
        images[version] = f"{image.image}@{digest}"
    await push(f"{repository}/echo", "latest", labels=labels_of(record(VERSIONS[0])))
    return images


@dataclass
class Operated:
    """One object in a namespace of its own whose versions are released, beside pods that a played node runs."""

    client: KubeCluster
    namespace: str
    node: PlayedNode
    repository: str
    released: dict[str, str] = field(default_factory=dict)
    """The image of each version."""
    name: str = "runtime"
    states: list[JsonObject] = field(default_factory=list)
    """The object's states as its watch tells them."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def place(self) -> Place:
        """Where the object is."""
        return Place(OBJECTS, self.namespace, self.name)

    def document(self, version: str = VERSIONS[0], **spec: Any) -> JsonObject:  # noqa: ANN401 -- any field of the spec
        """The object; `spec` are fields in place of the usual ones."""
        nobody = "http://127.0.0.1:9/"
        usual = {
            "version": version,
            "source": {"git": {"url": "https://git.example/team/core", "path": "workspace"}},
            "package": {"index": {"uploadURL": nobody, "simpleURL": nobody}},
            "registry": {"artifacts": f"{self.repository}/artifacts", "insecure": True},
            "templates": [
                {"name": "echo", "image": f"{self.repository}/echo", "build": {"strategy": "Follow"}}
            ],
            "targets": {"workloads": [{"name": "agents", "namespaces": [self.namespace]}]},
            "rollout": {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 5}},
        }
        return {"metadata": {"name": self.name}, "spec": {**usual, **spec}}

    async def make(self, version: str = VERSIONS[0], **spec: Any) -> None:  # noqa: ANN401 -- any field of the spec
        """Create the object."""
        await self.client.create(OBJECTS, self.namespace, self.document(version, **spec))

    async def edit(self, *, annotations: Mapping[str, str | None] | None = None, **spec: Any) -> int:  # noqa: ANN401 -- any field of the spec
        """Change fields of the object's spec, or annotations of ours; the generation that it is at then."""
        named = {f"runtime.molecule.ai/{key}": value for key, value in (annotations or {}).items()}
        body = {"metadata": {"annotations": named}, "spec": spec}
        changed = await self.client.merge(self.place, body, manager="a-user")
        return int(changed["metadata"]["generation"])

    async def workload(
        self, name: str, version: str = VERSIONS[0], *, pod: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Create a Deployment of one pod, whose owner consents; `pod` are fields of its pods in place of the usual ones."""
        container = {"name": "workspace", "image": self.released[version]}
        pods = {"schedulerName": SCHEDULER, "containers": [container], **pod}
        body = {
            "metadata": {"name": name, "labels": {LABEL_MANAGED: "true"}},
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pods},
            },
        }
        await self.client.create(DEPLOYMENTS, self.namespace, body)

    async def images(self) -> dict[str, str]:
        """The version in the image of each Deployment."""
        found = await self.client.list(DEPLOYMENTS, self.namespace)
        return {
            item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"]
            .partition("@")[0]
            .rpartition(":")[2]
            .removesuffix("-x")
            for item in found.items
        }

    async def secret(self, name: str, *, use: str = "", hosts: str = "", **data: str) -> None:
        """Write a Secret; label and annotation only where they are given."""
        label = {"runtime.molecule.ai/use": use} if use else {}
        annotation = {"runtime.molecule.ai/hosts": hosts} if hosts else {}
        metadata = {"name": name, "labels": label, "annotations": annotation}
        await self.client.create(SECRETS, self.namespace, {"metadata": metadata, "stringData": data})

    async def until(
        self, holds: Callable[[JsonObject], bool], *, seconds: float = 30, name: str | None = None
    ) -> JsonObject:
        """Wait for a state of the object, and return it; all that its status said stands in the failure."""
        try:
            async with asyncio.timeout(seconds), self._news:
                while True:
                    for state in self.states[::-1]:
                        if state["metadata"]["name"] == (name or self.name):
                            if holds(state):
                                return state
                            break
                    await self._news.wait()
        except TimeoutError:
            told = [
                f"{state['metadata']['name']} {state['metadata'].get('generation')} {said['reason']}: {said['message']}"
                for state in self.states
                for said in state.get("status", {}).get("conditions", ())
                if said["type"] == "Ready"
            ]
            raise AssertionError("It did not become so:\n" + "\n".join(dict.fromkeys(told))) from None

    async def until_gone(self) -> None:
        """Wait until the object is no more."""

        async def gone() -> bool:
            return not (await self.client.list(OBJECTS, self.namespace)).items

        await eventually(gone)

    async def until_runs(self, **versions: str) -> None:
        """Wait until the images of all Deployments are those of these versions, `-` of a name written as `_`."""
        wanted = {name.replace("_", "-"): version for name, version in versions.items()}

        async def runs() -> bool:
            return await self.images() == wanted

        await eventually(runs)

    async def until_nobody_deletes(self) -> None:
        """Wait for the ends of earlier tests' namespaces: what deletes one lists everything in it."""

        async def nobody() -> bool:
            found = (await self.client.list(NAMESPACES)).items
            return not any("deletionTimestamp" in item["metadata"] for item in found)

        await eventually(nobody, seconds=60)

    async def until_ready(self, version: str, *, seconds: float = 30) -> JsonObject:
        """Wait until all that was asked for last is true."""
        return await self.until(
            lambda state: (
                is_current(state)
                and state["spec"]["version"] == version
                and condition(state, "Ready").get("status") == "True"
            ),
            seconds=seconds,
        )

    async def until_stalled(self, reason: str, *, name: str | None = None) -> str:
        """Wait until it is stalled for a reason, and return the message."""
        state = await self.until(
            lambda state: is_current(state) and condition(state, "Stalled").get("reason") == reason, name=name
        )
        return str(condition(state, "Stalled")["message"])

    async def until_told(self, *wanted: tuple[str, str]) -> None:
        """Wait until the events about the object are these."""

        async def told() -> bool:
            return await self.events() == list(wanted)

        await eventually(told)

    async def events(self) -> list[tuple[str, str]]:
        """Type and reason of the events about the object, in their order."""
        found = await self.client.list(EVENTS, self.namespace)
        about = [item for item in found.items if item["involvedObject"]["name"] == self.name]
        about.sort(key=lambda item: (item["firstTimestamp"], int(item["metadata"]["resourceVersion"])))
        return [(item["type"], item["reason"]) for item in about]

    def writes(self) -> int:
        """How many states the object had."""
        return len({state["metadata"]["resourceVersion"] for state in self.states})

    async def listen(self) -> None:
        """Take every state of the namespace's objects; for ever."""
        async for news in follow(self.client, OBJECTS, self.namespace):
            async with self._news:
                self.states += news.items if isinstance(news, Listed) else [news.object]
                self._news.notify_all()

    async def let_go(self) -> None:
        """Take the finalizer off all objects, as the page of the object says: no operator is there any more to do so."""
        with suppress(NotFound):
            for found in (await self.client.list(OBJECTS, self.namespace)).items:
                place = Place(OBJECTS, self.namespace, found["metadata"]["name"])
                await self.client.merge(place, {"metadata": {"finalizers": None}}, manager="a-user")

    def assert_sound(self) -> None:
        """Every status that was ever written keeps the invariants of kstatus, and so does every write."""
        problems: set[str] = set()
        before: dict[str, Status] = {}
        for state in self.states:
            if not state.get("status", {}).get("conditions"):
                continue
            status, uid = Status.model_validate(state["status"]), state["metadata"]["uid"]
            problems |= {*broken(status), *broken_between(before.get(uid, status), status)}
            before[uid] = status
        assert problems == set()


async def eventually(holds: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 -- a cluster sets no event of ours
            await asyncio.sleep(0.1)


def condition(state: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """A condition in the object's state; empty when it is not there."""
    told = state.get("status", {}).get("conditions", ())
    return next((each for each in told if each["type"] == type_), {})


def is_current(state: Mapping[str, Any]) -> bool:
    """Whether the status is about the spec as it is."""
    return bool(state.get("status", {}).get("observedGeneration") == state["metadata"]["generation"])


def defined(cluster: Cluster) -> None:
    """Have the cluster know the kind."""
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", str(_ROOT / "crds" / "workspaceruntime.yaml")
    )
    cluster.kubectl("wait", "--for=condition=Established", "crd/workspaceruntimes.runtime.molecule.ai")


@asynccontextmanager
async def operated(
    cluster: Cluster, namespace: str, registry: str, *, inside: str = "", releasing: Releasing = release
) -> AsyncIterator[Operated]:
    """A namespace that lets its own objects in, with released versions; what every status said is checked at the end.

    `inside` is what the operator and the document call the registry, if not as this machine does; `releasing` makes the versions.
    """
    async with (
        KubeCluster(cluster.kubeconfig, context=cluster.context) as client,
        played_node(client, namespace) as node,
    ):
        called = inside or registry
        node.lookup = lambda reference: from_registry(reference.replace(called, registry))
        label = {"metadata": {"labels": {NAMESPACE_ALLOWED_FROM: namespace}}}
        await client.merge(Place(NAMESPACES, None, namespace), label, manager="tests")
        path = f"t{secrets.token_hex(4)}"
        made = Operated(client, namespace, node, f"{called}/{path}")
        publisher = f"{namespace}/{made.name}"
        made.released |= await releasing(f"{registry}/{path}", publisher, named=made.repository)
        async with listening(made):
            yield made


@asynccontextmanager
async def listening(ground: Operated) -> AsyncIterator[None]:
    """Take in what becomes of the namespace's objects; what every status said is checked at the end."""
    try:
        async with hearing(ground):
            yield
    finally:
        await ground.let_go()
    ground.assert_sound()


@asynccontextmanager
async def hearing(ground: Operated) -> AsyncIterator[None]:
    """Take in what becomes of the namespace's objects."""
    task = asyncio.create_task(ground.listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class Operator:
    """One process of the operator."""

    process: Running
    port: int
    fast: timedelta = timedelta()
    """How much later than it is the process takes it to be."""

    def health(self, path: str) -> tuple[int, str]:
        """What the kubelet is told: status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def leads(self) -> bool:
        """Whether it is the replica that works."""
        return bool(json.loads(self.health("/readyz")[1])["leading"])

    def when(self, beginning: str) -> datetime:
        """When it logged a message that begins so."""
        line = next(line for line in self.lines() if line["message"].startswith(beginning))
        return datetime.fromisoformat(line["time"]) - self.fast

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; a line that is no JSON fails the test."""
        return [json.loads(line) for line in self.process.said()]


@contextmanager
def operator(  # noqa: PLR0913 -- where it runs, what for, and what it is given
    cluster: Cluster,
    folder: Path,
    *namespaces: str,
    url: str = "",
    more: tuple[str, ...] = (),
    inside: bool = False,
    environment: Mapping[str, str] = MappingProxyType({}),
    fast: timedelta = timedelta(),
) -> Iterator[Operator]:
    """An operator for some namespaces, ended with the block if it has not ended before; `url` leads to pods.

    Its clock is `fast`. `inside`: it runs in the cluster's network, as it does in a pod there; its health is asked for from there only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    arguments = [
        f"--namespace={namespaces[0]}",
        f"--target-namespaces={','.join(namespaces[1:])}",
        f"--listen=127.0.0.1:{port}",
        f"--state={folder / 'state'}",
        *more,
    ]
    inherited = {
        name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}
    }
    given = {
        **inherited,
        "PYTHONPATH": str(_ROOT),
        "KUBECONFIG": str(cluster.own.kubeconfig("admin") if inside else cluster.kubeconfig),
        "WSR_OPERATOR_IMAGE": "registry.example/operator:1",
        **({"WSR_WORKSPACE_URL": url} if url else {}),
        **environment,
    }
    main = ("tests.parts.skewed_clock", str(fast.total_seconds()), "controller.__main__")
    module = main if fast else ("controller",)
    program = (*(cluster.inside if inside else ()), sys.executable, "-m", *module)
    process = Running.start(arguments, log=folder / "operator.log", program=program, environment=given)
    try:
        process.until("Answering at")
        yield Operator(process, port, fast)
    finally:
        if process.process.poll() is None:
            process.kill()
