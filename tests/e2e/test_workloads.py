"""One edit reaches the workspaces of a cluster, through the same gate as containers, and the fleet waits for the slowest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.scene import Scene
from tests.parts.played_node import SCHEDULER, TOKEN, PlayedNode, playing
from tests.parts.pod_proxy import pod_proxy
from tests.parts.registry import running_registry

KINDS = ("Deployment", "StatefulSet")


@pytest.fixture
def node(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedNode]:
    """The namespace lets objects of `default` in; KUBECONFIG and WSR_WORKSPACE_URL lead to its pods."""
    cluster.kubectl("label", "namespace", namespace, "runtime.molecule.ai/allowed-from=default")
    with playing(cluster.kubeconfig, cluster.context, namespace) as node:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        monkeypatch.setenv("WSR_WORKSPACE_URL", node.url)
        yield node


@pytest.fixture(autouse=True)
def building_engine(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document without Docker hosts builds and probes where DOCKER_HOST leads."""
    monkeypatch.setenv("DOCKER_HOST", engine)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path / "registry") as address:
        yield address


def _workload(kind: str, name: str, image: str) -> dict[str, Any]:
    pod = {"schedulerName": SCHEDULER, "containers": [{"name": "workspace", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"runtime.molecule.ai/managed": "true"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **({"serviceName": name} if kind == "StatefulSet" else {"strategy": {"type": "Recreate"}}),
        },
    }


def _in_a_cluster(scene: Scene, registry: str, namespace: str) -> None:
    """Let the document's one template live in a registry, and its targets in the namespace."""
    scene.desk.write_secret("control", token=TOKEN)
    with scene.desk.editing() as spec:
        spec["registry"] = {
            "mode": "Remote",
            "artifacts": f"{registry}/{namespace}/artifacts",
            "insecure": True,
        }
        spec["templates"] = spec["templates"][:1]
        spec["templates"][0]["image"] = f"{registry}/{namespace}/plain"
        entry = {"name": "agents", "namespaces": [namespace], "controlTokenSecretName": "control"}
        spec["targets"] = {"workloads": [entry]}
        spec["rollout"] = {"maxUnavailable": 1, "drain": {"timeoutSeconds": 20}}


def _images(cluster: Cluster, namespace: str) -> dict[str, str]:
    found = json.loads(
        cluster.kubectl("get", "deployments,statefulsets", "-n", namespace, "-o", "json").stdout
    )
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        for item in found["items"]
    }


@pytest.mark.long
def test_one_edit_reaches_the_workspaces_of_a_cluster(
    scene: Scene, cluster: Cluster, namespace: str, node: PlayedNode, registry: str
) -> None:
    _in_a_cluster(scene, registry, namespace)
    made = [
        _workload(kind, f"ws-{kind.lower()}", f"{registry}/{namespace}/plain:made-by-hand") for kind in KINDS
    ]
    cluster.apply(*made, namespace=namespace)
    scene.desk.run()
    scene.desk.bump("0.1.1")
    scene.desk.run()
    wanted = scene.desk.wsr("image", "plain").out.strip()
    (runs,) = set(_images(cluster, namespace).values())
    assert runs.startswith(f"{wanted}@sha256:")
    assert {image.version for image in node.pods.values()} >= {"0.0.1", "0.1.0", "0.1.1"}
    target = f"{namespace}/Deployment/ws-deployment"
    why = json.loads(scene.desk.wsr("why", target, "-o", "json").out)
    assert why["running"]["version"] == "0.1.1"
    assert [word for word in node.told if word.startswith("drain")], (
        "they were drained with the control token"
    )


@pytest.mark.long
def test_a_version_that_a_clusters_workspace_cannot_run_is_taken_back_everywhere(
    scene: Scene, cluster: Cluster, namespace: str, node: PlayedNode, registry: str
) -> None:
    _in_a_cluster(scene, registry, namespace)
    with scene.desk.editing() as spec:
        spec["templates"][0]["startDeadlineSeconds"] = 5
    made = [
        _workload("Deployment", f"ws-{number}", f"{registry}/{namespace}/plain:made-by-hand")
        for number in (1, 2)
    ]
    cluster.apply(*made, namespace=namespace)
    scene.desk.run()
    before = _images(cluster, namespace)
    node.fails = "0.1.1"
    scene.desk.bump("0.1.1")
    scene.desk.run(code=1)
    assert _images(cluster, namespace) == before
    condition = scene.desk.condition("Ready")
    assert condition is not None
    assert condition["reason"] == "RolloutFailed"


def _real(kind: str, name: str, image: str) -> dict[str, Any]:
    """A workspace as a platform makes it, for a kubelet; a StatefulSet keeps its notes on a claimed volume."""
    made = _workload(kind, name, image)
    pod = made["spec"]["template"]["spec"]
    del pod["schedulerName"]
    pod["securityContext"] = {"runAsUser": 0}  # a volume of a host's folder is its administrator's
    folders = {"configs": "/configs", "workspace": "/workspace"}
    pod["volumes"] = [{"name": each, "emptyDir": {}} for each in folders]
    pod["containers"][0] |= {
        "env": [{"name": "WORKSPACE_ID", "value": name}, {"name": "TIER", "value": "2"}],
        "ports": [{"containerPort": 8000}],
        "volumeMounts": [{"name": each, "mountPath": path} for each, path in folders.items()],
    }
    if kind == "StatefulSet":
        pod["volumes"] = pod["volumes"][:1]
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        made["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "workspace"}, "spec": claim}]
    return made


def test_real_pods_run_what_the_document_asks_for_and_keep_their_volumes(
    scene: Scene, cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kubectl("label", "namespace", namespace, "runtime.molecule.ai/allowed-from=default")
    _in_a_cluster(scene, cluster.registry, namespace)
    with scene.desk.editing() as spec:
        del spec["targets"]["workloads"][0]["controlTokenSecretName"]
    with pod_proxy(cluster) as url:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        monkeypatch.setenv("WSR_WORKSPACE_URL", url)
        scene.desk.run()
        image = scene.desk.wsr("image", "plain").out.strip()
        made = [_real(kind, f"ws-{kind.lower()}", image) for kind in KINDS]
        cluster.apply(*made, namespace=namespace)
        for each in ("deployment/ws-deployment", "statefulset/ws-statefulset"):
            cluster.kubectl("rollout", "status", "-n", namespace, each, "--timeout=60s")
        pod = ("exec", "-n", namespace, "ws-statefulset-0", "--", "sh", "-c")
        cluster.kubectl(*pod, "echo a note > /workspace/note")
        scene.desk.bump("0.1.1")
        scene.desk.run()
        why = [
            json.loads(scene.desk.wsr("why", f"{namespace}/{kind}/ws-{kind.lower()}", "-o", "json").out)
            for kind in KINDS
        ]
        assert [each["running"]["version"] for each in why] == ["0.1.1", "0.1.1"]
        assert cluster.kubectl(*pod, "cat /workspace/note").stdout == "a note\n"
