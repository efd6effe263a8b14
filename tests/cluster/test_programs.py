"""The programs beside the node's own, each built when it is first wanted: helm, and the one that plays more nodes."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAUSE_IMAGE
from tests.cluster.fake_nodes import ON_FAKE_NODES, fake_nodes

pytestmark = pytest.mark.long  # each is minutes of building where it has not been built


def deployment(image: str, replicas: int, **spec: object) -> dict[str, object]:
    labels = {"app": "it"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "it", "image": image}], **spec},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "it"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def test_helm_installs_upgrades_and_removes_a_release(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "it", "version": "1.0.0"}))
    document = deployment(f"{cluster.registry}/{PAUSE_IMAGE}", 1)
    (chart / "templates" / "it.yaml").write_text(yaml.safe_dump(document))
    cluster.helm("-n", namespace, "install", "it", str(chart), "--wait", "--timeout=60s")
    (chart / "templates" / "it.yaml").write_text(
        yaml.safe_dump(deployment(f"{cluster.registry}/{PAUSE_IMAGE}", 2))
    )
    cluster.helm("-n", namespace, "upgrade", "it", str(chart), "--wait", "--timeout=60s")
    (release,) = json.loads(cluster.helm("-n", namespace, "list", "-o", "json").stdout)
    assert (release["name"], release["revision"], release["status"]) == ("it", "2", "deployed")
    assert cluster.get("deployment", "it", namespace=namespace)["status"]["readyReplicas"] == 2
    cluster.helm("-n", namespace, "uninstall", "it", "--wait", "--timeout=60s")
    assert (
        json.loads(cluster.kubectl("-n", namespace, "get", "deployments", "-o", "json").stdout)["items"] == []
    )


def test_pods_on_fake_nodes_are_ready_without_an_image(cluster: Cluster, namespace: str) -> None:
    with fake_nodes(cluster, 3):
        cluster.apply(deployment("nowhere.example/nothing:1", 30, **ON_FAKE_NODES), namespace=namespace)
        cluster.kubectl("-n", namespace, "rollout", "status", "deployment/it", "--timeout=60s")
        out = cluster.kubectl("-n", namespace, "get", "pods", "-o", "json").stdout
        assert {pod["spec"]["nodeName"].partition("-")[0] for pod in json.loads(out)["items"]} == {"fake"}
    assert len(json.loads(cluster.kubectl("get", "nodes", "-o", "json").stdout)["items"]) == 1
