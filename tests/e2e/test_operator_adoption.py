"""Whoever made a workload, its image is taken over once; and whoever sets it again then is named, and not fought."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, condition, eventually
from tests.parts.played_node import SCHEDULER, TOKEN


@dataclass(frozen=True)
class Owner:
    """Somebody with a workload of the manifest, in a folder of their own."""

    cluster: Cluster
    manifest: Mapping[str, Any]
    folder: Path

    @property
    def text(self) -> str:
        return yaml.safe_dump(dict(self.manifest))

    def kubectl(self, *words: str) -> None:
        self.cluster.kubectl(*words, "-f", "-", stdin=self.text)

    def apply(self) -> None:
        self.kubectl("apply")

    def apply_on_the_server(self) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts")

    def create(self) -> None:
        self.kubectl("create")

    def replace(self) -> None:
        self.kubectl("replace")

    def set_image(self) -> None:
        name, image = self.manifest["metadata"]["name"], self._image
        self.cluster.kubectl(
            "-n", self._namespace, "set", "image", f"deployment/{name}", f"workspace={image}"
        )

    def put(self) -> None:
        """Write the object as a whole, as a program with the plain API does."""
        name = self.manifest["metadata"]["name"]
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        status, found = self.cluster.api.ask(f"{path}/{name}")
        there = status == 200
        # What is read and written back keeps the annotations of others.
        body = {**found, "spec": self.manifest["spec"]} if there else self.manifest
        status, said = self.cluster.api.ask(
            f"{path}/{name}" if there else path, method="PUT" if there else "POST", body=body
        )
        assert status in {200, 201}, said

    def release(self) -> None:
        """Install a chart, or upgrade its release, with the image as a value."""
        chart = self.folder / "chart"
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: workspace\nversion: 0.1.0\n")
        whole = self.text.replace(self._image, "{{ .Values.image }}")
        (chart / "templates" / "workspace.yaml").write_text(whole)
        given = ("--set", f"image={self._image}", "--force-conflicts")
        self.cluster.helm("upgrade", "--install", "workspace", str(chart), "-n", self._namespace, *given)

    @property
    def _namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def _image(self) -> str:
        return str(self.manifest["spec"]["template"]["spec"]["containers"][0]["image"])


@dataclass(frozen=True)
class Way:
    """How somebody makes a workload and sets its image again, as whom, and what they are told to do about it."""

    make: Callable[[Owner], None]
    again: Callable[[Owner], None]
    manager: str
    cure: str


_MANIFEST: Final = "take the image out of the manifest that is applied"
_USUAL: Final = "have it leave the image alone"
WAYS: Final = {
    "apply": Way(Owner.apply, Owner.apply, "kubectl-client-side-apply", _MANIFEST),
    "server-side": Way(Owner.apply_on_the_server, Owner.apply_on_the_server, "kubectl", _MANIFEST),
    "create": Way(Owner.create, Owner.set_image, "kubectl-set", _MANIFEST),
    "replace": Way(Owner.create, Owner.replace, "kubectl-replace", _MANIFEST),
    "helm": Way(
        Owner.release, Owner.release, "helm", "set the image in the release's values to the one that runs"
    ),
    "put": Way(Owner.put, Owner.put, "Python-urllib", _USUAL),
}


def owners(ground: Operated, cluster: Cluster, folder: Path) -> dict[str, Owner]:
    """One for each way; each of them has a workload that is called like it."""

    def manifest(name: str) -> dict[str, Any]:
        container = {"name": "workspace", "image": ground.released["0.1.0"]}
        labels = {"runtime.molecule.ai/managed": "true"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": ground.namespace, "labels": labels},
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"schedulerName": SCHEDULER, "containers": [container]},
                },
            },
        }

    return {way: Owner(cluster, manifest(way), folder / way) for way in WAYS}


def told(state: Mapping[str, Any]) -> dict[str, str]:
    """Why each workload is not where it should be."""
    return {each["name"].rpartition("/")[2]: each["why"] for each in state["status"].get("stragglers", ())}


async def test_whoever_made_a_workload_its_image_is_taken_over_once_and_who_sets_it_again_is_named(
    ground: Operated, serving: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    everybody = owners(ground, cluster, tmp_path)
    await asyncio.gather(*(asyncio.to_thread(WAYS[way].make, owner) for way, owner in everybody.items()))
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    await ground.edit(version="0.1.1")
    await ground.until_ready("0.1.1")
    assert await ground.images() == dict.fromkeys(WAYS, "0.1.1")

    await asyncio.gather(*(asyncio.to_thread(WAYS[way].again, owner) for way, owner in everybody.items()))
    state = await ground.until(lambda state: told(state).keys() == WAYS.keys())
    expected = {
        name: f"{way.manager} set its image to {ground.released['0.1.0']} after {ground.released['0.1.1']} was set for it; "
        f"{way.cure}, or take label managed off it"
        for name, way in WAYS.items()
    }
    assert told(state) == expected
    assert condition(state, "RolledOut")["reason"] == "ImageContested"
    await ground.edit(annotations={"requested-at": "now"})
    await ground.until(lambda state: state["status"].get("lastHandledReconcileAt") == "now")
    assert await ground.images() == dict.fromkeys(WAYS, "0.1.0"), "nobody fights"

    await ground.edit(targets={**ground.document()["spec"]["targets"], "onDrift": "Correct"})
    await ground.until_ready("0.1.1", seconds=60)
    assert await ground.images() == dict.fromkeys(WAYS, "0.1.1"), "once for each edit of the object"
    # A replacement took our notes with it, so that the image was taken over anew, and not put back yet.
    await asyncio.to_thread(WAYS["replace"].again, everybody["replace"])
    await ground.until_runs(**{way.replace("-", "_"): "0.1.1" for way in WAYS})
    await ground.until_ready("0.1.1")
    await asyncio.gather(*(asyncio.to_thread(WAYS[way].again, owner) for way, owner in everybody.items()))
    await ground.until(lambda state: told(state) == expected)
    assert await ground.images() == dict.fromkeys(WAYS, "0.1.0"), "and then they are told, and not fought"
    assert [line for line in serving.lines() if "error" in line] == []


async def test_a_correction_follows_the_drain_and_where_a_hand_is_only_told_nothing_is_drained(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    await ground.secret("control", use="control", hosts=f"{ground.namespace}.pod", token=TOKEN)
    entry = {"name": "agents", "namespaces": [ground.namespace], "controlTokenSecretName": "control"}
    rollout = {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 120}}
    await ground.workload("ws-1")
    await ground.make("0.1.0", targets={"workloads": [entry]}, rollout=rollout)
    await ground.until_ready("0.1.0")
    await ground.edit(version="0.1.1")
    await ground.until_ready("0.1.1")
    before = len(ground.node.told)

    ground.node.busy.add("ws-1")
    image = f"workspace={ground.released['0.1.0']}"
    await asyncio.to_thread(cluster.kubectl, "-n", ground.namespace, "set", "image", "deployment/ws-1", image)
    state = await ground.until(lambda state: condition(state, "RolledOut")["reason"] == "ImageContested")
    assert told(state)["ws-1"].startswith("kubectl-set set its image to ")
    assert await ground.images() == {"ws-1": "0.1.0"}
    assert ground.node.told[before:] == []

    await ground.edit(targets={"workloads": [entry], "onDrift": "Correct"})
    await ground.until(lambda state: condition(state, "RolledOut")["reason"] == "Draining")

    async def drains() -> bool:
        return [each.partition(" ")[0] for each in ground.node.told[before:]] == ["drain"]

    await eventually(drains)
    assert await ground.images() == {"ws-1": "0.1.0"}, "its work is waited for"
    ground.node.busy.clear()
    await ground.until_ready("0.1.1")
    assert await ground.images() == {"ws-1": "0.1.1"}
    assert [line for line in serving.lines() if "error" in line] == []
