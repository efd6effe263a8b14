"""What the client asks of an API server it gets, and what a server or the way to it refuses has one of our names."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from controller.clients.kube import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    Conflict,
    Event,
    Expired,
    FieldsOwned,
    KubeCluster,
    Listed,
    Place,
    Resource,
)
from controller.clients.kube_follow import follow
from controller.model.errors import NotFound, Terminal, Transient
from tests.cluster.cluster import Cluster
from tests.parts.servers import free_port

CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
POLICIES = Resource(
    "admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"
)
BINDINGS = Resource(
    "admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
)
OURS = "workspace-runtime"


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeCluster]:
    async with KubeCluster(cluster.kubeconfig, context=cluster.context) as opened:
        yield opened


def deployment(name: str = "ws-1", image: str = "registry.example/echo:1") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "workspace", "image": image}]},
            },
        },
    }


def image_of(object_: dict[str, Any]) -> str:
    return str(object_["spec"]["template"]["spec"]["containers"][0]["image"])


def image_patch(image: str, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of the metadata
    containers = [{"name": "workspace", "image": image}]
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": containers}}}}


async def test_an_object_is_created_read_changed_and_deleted(client: KubeCluster, namespace: str) -> None:
    made = await client.create(
        CONFIG_MAPS, namespace, {"metadata": {"name": "one"}, "data": {"a": "1", "b": "2"}}
    )
    assert (await client.read(CONFIG_MAPS, namespace, "one"))["metadata"]["uid"] == made["metadata"]["uid"]
    changed = await client.merge(
        Place(CONFIG_MAPS, namespace, "one"), {"data": {"a": "3", "b": None}}, manager=OURS
    )
    assert changed["data"] == {"a": "3"}
    await client.delete(CONFIG_MAPS, namespace, "one")
    with pytest.raises(
        NotFound, match=rf'^Could not read ConfigMap {namespace}/one: configmaps "one" not found$'
    ):
        await client.read(CONFIG_MAPS, namespace, "one")


async def test_a_long_list_comes_whole_and_narrowed(client: KubeCluster, namespace: str) -> None:
    for number in range(520):
        labels = {"even": str(number % 2 == 0).lower()}
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": f"n-{number}", "labels": labels}})
    assert len((await client.list(CONFIG_MAPS, namespace, labels="even")).items) == 520
    assert len((await client.list(CONFIG_MAPS, namespace, labels="even=true")).items) == 260
    assert len((await client.list(CONFIG_MAPS, namespace, fields="metadata.name=n-7")).items) == 1


async def test_the_image_of_somebody_elses_workload_is_taken_over_by_force_once(
    client: KubeCluster, cluster: Cluster, namespace: str
) -> None:
    manifest = yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", **deployment()})
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)
    patch = image_patch("registry.example/echo:2")
    with pytest.raises(FieldsOwned) as caught:
        await client.apply(Place(DEPLOYMENTS, namespace, "ws-1"), patch, manager=OURS)
    assert caught.value.managers == ("kubectl-client-side-apply",)
    taken = await client.apply(Place(DEPLOYMENTS, namespace, "ws-1"), patch, manager=OURS, force=True)
    assert image_of(taken) == "registry.example/echo:2"
    again = await client.apply(
        Place(DEPLOYMENTS, namespace, "ws-1"), image_patch("registry.example/echo:3"), manager=OURS
    )
    assert image_of(again) == "registry.example/echo:3", "what is ours needs no force"
    assert len(again["spec"]["template"]["spec"]["containers"]) == 1


async def test_an_apply_meant_for_another_object_of_the_name_changes_nothing(
    client: KubeCluster, namespace: str
) -> None:
    before = await client.create(DEPLOYMENTS, namespace, deployment())
    await client.delete(DEPLOYMENTS, namespace, "ws-1")
    after = await client.create(DEPLOYMENTS, namespace, deployment())
    patch = image_patch("registry.example/echo:2", uid=before["metadata"]["uid"])
    with pytest.raises(Conflict, match="Could not apply to Deployment"):
        await client.apply(Place(DEPLOYMENTS, namespace, "ws-1"), patch, manager=OURS, force=True)
    patch = image_patch("registry.example/echo:2", uid=after["metadata"]["uid"], resourceVersion="1")
    with pytest.raises(Conflict):
        await client.apply(Place(DEPLOYMENTS, namespace, "ws-1"), patch, manager=OURS, force=True)
    assert image_of(await client.read(DEPLOYMENTS, namespace, "ws-1")) == "registry.example/echo:1"


async def test_what_exists_cannot_be_created_again(client: KubeCluster, namespace: str) -> None:
    await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one"}})
    with pytest.raises(Conflict, match=r'^Could not create ConfigMap one: configmaps "one" already exists$'):
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one"}})


async def _create_until_refused(client: KubeCluster, namespace: str) -> None:
    """What a quota counts is known a moment after it was made."""
    for number in range(50):
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": f"n-{number}"}})
        await asyncio.sleep(0.1)


async def test_a_quota_that_is_used_up_says_so_with_the_cure(client: KubeCluster, namespace: str) -> None:
    used = (await client.list(CONFIG_MAPS, namespace)).items
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": str(len(used))}}}
    await client.create(QUOTAS, namespace, quota)
    with pytest.raises(Terminal) as caught:
        await _create_until_refused(client, namespace)
    assert caught.value.reason == "QuotaExceeded"
    assert caught.value.fix == "Raise the quota of the namespace, or free some of it."


async def test_what_the_schema_refuses_is_told_in_the_servers_words(
    client: KubeCluster, namespace: str
) -> None:
    with pytest.raises(Terminal) as caught:
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "Not_A_Name"}})
    assert caught.value.reason == "ClusterRefused"
    assert caught.value.message.startswith(
        'Could not create ConfigMap Not_A_Name: ConfigMap "Not_A_Name" is invalid:'
    )


async def _first(client: KubeCluster, namespace: str, version: str, number: int) -> list[Event]:
    seen: list[Event] = []
    async for event in client.watch(CONFIG_MAPS, namespace, version):
        if event.kind != "BOOKMARK":
            seen.append(event)
        if len(seen) == number:
            break
    return seen


async def test_a_watch_tells_every_change_after_a_list(client: KubeCluster, namespace: str) -> None:
    version = (await client.list(CONFIG_MAPS, namespace)).version
    await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one"}})
    await client.merge(Place(CONFIG_MAPS, namespace, "one"), {"data": {"a": "1"}}, manager=OURS)
    await client.delete(CONFIG_MAPS, namespace, "one")
    ours = [
        event
        for event in await asyncio.wait_for(_first(client, namespace, version, 3), 10)
        if event.object["metadata"]["name"] == "one"
    ]
    assert [event.kind for event in ours] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_server_that_was_away_is_followed_on_and_forgets_old_versions(
    client: KubeCluster, cluster: Cluster, namespace: str
) -> None:
    seen: list[str] = []
    told = follow(client, CONFIG_MAPS, namespace, labels="ours")
    following = asyncio.ensure_future(_names_until(told, "two", seen))
    await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one", "labels": {"ours": ""}}})
    await _until(lambda: bool(seen))
    await asyncio.to_thread(cluster.end_daemon, "apiserver")
    with pytest.raises(Transient, match="the API server did not answer"):
        await client.read(NAMESPACES, None, "default")
    await asyncio.to_thread(cluster.start_daemon, "apiserver")
    await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "two", "labels": {"ours": ""}}})
    await asyncio.wait_for(following, 30)
    await told.aclose()
    with pytest.raises(Expired, match=r"^Could not watch configmaps in "):
        await _first(client, namespace, "1", 1)
    again = follow(client, CONFIG_MAPS, namespace, labels="ours", version="1")
    first = await asyncio.wait_for(anext(again), 10)
    await again.aclose()
    assert isinstance(first, Listed), "what was forgotten is listed anew"
    assert len(first.items) == 2


class Line:
    """A way to the API server that can be cut without either side being told."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._open = asyncio.Event()
        self._open.set()

    def fall_silent(self) -> None:
        self._open.clear()

    def speak(self) -> None:
        self._open.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._there)
        await asyncio.gather(
            self._pass_on(reader, back), self._pass_on(there, writer), return_exceptions=True
        )

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(65536):
            await self._open.wait()
            writer.write(content)
            await writer.drain()
        writer.close()


@pytest.fixture
async def line(cluster: Cluster, tmp_path: Path) -> AsyncIterator[tuple[Line, Path]]:
    """The line, and a kubeconfig that leads over it."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    line = Line(str(server.hostname), int(server.port or 443))
    listening = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with listening:
        yield line, path
        listening.close()
        line.fall_silent()


async def test_a_watch_that_died_silently_is_noticed(line: tuple[Line, Path], namespace: str) -> None:
    way, kubeconfig = line
    async with KubeCluster(kubeconfig, silence_seconds=1.5) as client:
        version = (await client.list(CONFIG_MAPS, namespace)).version
        stream = client.watch(CONFIG_MAPS, namespace, version)
        told = asyncio.ensure_future(anext(stream))
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one"}})
        await asyncio.wait_for(told, 5)
        way.fall_silent()
        with pytest.raises(
            Transient, match=r"^Could not watch configmaps in .*: the API server did not answer: "
        ):
            await asyncio.wait_for(_last(stream), 10)


async def _last(stream: AsyncIterator[Event]) -> None:
    async for _ in stream:
        pass


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def _names_until(told: AsyncIterator[Listed | Event], name: str, seen: list[str]) -> None:
    async for each in told:
        if isinstance(each, Listed):
            seen.append("list")
            if any(item["metadata"]["name"] == name for item in each.items):
                return
        else:
            seen.append(f"{each.kind} {each.object['metadata']['name']}")
        if seen[-1].endswith(f" {name}"):
            return


async def test_objects_are_followed_over_a_silent_line_without_listing_them_again(
    line: tuple[Line, Path], client: KubeCluster, namespace: str
) -> None:
    way, kubeconfig = line
    seen: list[str] = []
    async with KubeCluster(kubeconfig, silence_seconds=1.0) as over_the_line:
        told = follow(over_the_line, CONFIG_MAPS, namespace, labels="ours")
        following = asyncio.ensure_future(_names_until(told, "two", seen))
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "one", "labels": {"ours": ""}}})
        await _until(lambda: bool(seen))
        way.fall_silent()
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "two", "labels": {"ours": ""}}})
        await asyncio.sleep(1.5)
        assert "ADDED two" not in seen
        way.speak()
        await asyncio.wait_for(following, 20)
        await told.aclose()
    assert seen.count("list") == 1
    assert seen.count("ADDED two") == 1


async def test_a_server_that_is_away_is_transient_and_not_absence(tmp_path: Path, cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with KubeCluster(path) as client:
        with pytest.raises(
            Transient, match=r"^Could not read Namespace default: the API server did not answer: "
        ):
            await client.read(NAMESPACES, None, "default")


async def test_a_context_that_does_not_exist_is_named_with_the_cure(cluster: Cluster) -> None:
    with pytest.raises(Terminal) as caught:
        async with KubeCluster(cluster.kubeconfig, context="elsewhere"):
            pass
    assert caught.value.reason == "ClusterUnknown"
    assert "elsewhere" in caught.value.message
    assert caught.value.fix == "Name a kubeconfig with a context that exists."


async def test_what_a_right_is_missing_for_is_told_with_the_cure(
    client: KubeCluster, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    await client.create(ACCOUNTS, namespace, {"metadata": {"name": "nobody"}})
    token = cluster.kubectl("create", "token", "nobody", "-n", namespace).stdout.strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with KubeCluster(path) as nobody:
        with pytest.raises(Terminal) as caught:
            await nobody.list(CONFIG_MAPS, namespace)
    assert caught.value.reason == "ClusterForbidden"
    assert f"Could not list configmaps in {namespace}: configmaps is forbidden" in caught.value.message
    assert token not in str(caught.value)


async def test_what_an_admission_policy_denies_is_told_in_its_words(
    client: KubeCluster, namespace: str
) -> None:
    name = f"deny-{namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.metadata.name != 'bad'", "message": "No bad names here."}],
    }
    bound = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }
    await client.create(POLICIES, None, {"metadata": {"name": name}, "spec": policy})
    await client.create(BINDINGS, None, {"metadata": {"name": name}, "spec": bound})
    try:
        with pytest.raises(Terminal) as caught:
            await _try_until_denied(client, namespace)
    finally:
        await client.delete(BINDINGS, None, name)
        await client.delete(POLICIES, None, name)
    assert caught.value.reason == "AdmissionDenied"
    assert "No bad names here" in caught.value.message


async def _try_until_denied(client: KubeCluster, namespace: str) -> None:
    """A policy takes effect some moments after it was made."""
    for _ in range(100):
        await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "bad"}})
        await client.delete(CONFIG_MAPS, namespace, "bad")
        await asyncio.sleep(0.1)


async def test_exec_is_off_unless_it_was_switched_on(client: KubeCluster, namespace: str) -> None:
    with pytest.raises(Terminal) as caught:
        await client.execute(Place(PODS, namespace, "ws-1"), "workspace", ["true"], timeout_seconds=1)
    assert caught.value.reason == "ExecForbidden"


async def test_a_proxy_is_used_where_the_environment_names_one_for_the_server(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    host = urlsplit(yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        async with KubeCluster(cluster.kubeconfig, context=cluster.context) as client:
            with pytest.raises(Transient):
                await client.list(NAMESPACES)
        assert asked[0].startswith(f"CONNECT {host.netloc} ".encode())
        monkeypatch.setenv("no_proxy", str(host.hostname))
        asked.clear()
        async with KubeCluster(cluster.kubeconfig, context=cluster.context) as client:
            await client.list(NAMESPACES)
        assert not asked


async def test_of_each_object_in_a_list_only_what_is_to_be_kept_is(
    client: KubeCluster, namespace: str
) -> None:
    for name in ("one", "two"):
        metadata = {"name": name, "labels": {"app": "ours"}}
        await client.create(CONFIG_MAPS, namespace, {"metadata": metadata, "data": {"a": "1"}})
    listed = await client.list(
        CONFIG_MAPS, namespace, labels="app=ours", kept=lambda found: {"name": found["metadata"]["name"]}
    )
    assert listed.items == ({"name": "one"}, {"name": "two"})
