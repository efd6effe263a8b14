"""The operator asks the API server for what its chart gives it: for nothing more, and the chart gives nothing that it never asks for."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.names import LABEL_MANAGED
from controller.clients.kube import STATEFUL_SETS
from tests.cluster.audit import Asked, Right, asked, granted
from tests.cluster.cluster import Cluster
from tests.contract.charts.helm import OPERATOR, objects
from tests.e2e.operated import Operated, condition, defined, operated, operator
from tests.parts.played_node import SCHEDULER, TOKEN

NAME = "workspace-runtime-operator"
OF_BUILDS = {
    *(Right("batch", "jobs", verb) for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *(Right("", "pods", verb) for verb in ("get", "create", "delete")),
    *(Right("networking.k8s.io", "networkpolicies", verb) for verb in ("create", "patch")),
    Right("", "pods/log", "get"),
    Right("", "nodes", "list"),
}
"""What builder runs and the gate ask for: nothing is built where versions are delivered."""
UNLOGGED = {Right("", "configmaps", "create"), Right("", "pods/exec", "create")}
"""What the server wants beside the verb that it logs: of an apply to an object that is not there, and of exec."""
AFTER_A_CONFLICT = {Right("apps", kind, "get") for kind in ("deployments", "statefulsets")}
"""What is read when somebody changed a workload before a watch could tell; nobody does here."""


@pytest.fixture
async def ground(cluster: Cluster, namespace: str, registry: str) -> AsyncIterator[Operated]:
    defined(cluster)
    async with operated(cluster, namespace, registry) as made:
        yield made


def bound(cluster: Cluster, namespace: str, folder: Path) -> tuple[Path, frozenset[Right]]:
    """Apply account, roles and bindings of the chart; a kubeconfig of that account, and all that the roles allow."""
    rendered = objects(OPERATOR, "--set", "rbac.exec=true", namespace=namespace)
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    about = [each for each in rendered if each["kind"] in kinds and _is_of_the_operator(each)]
    cluster.apply(*about, namespace=namespace)
    token = cluster.kubectl("-n", namespace, "create", "token", NAME).stdout.strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file, granted([each for each in about if each["kind"] in {"Role", "ClusterRole"}])


def _is_of_the_operator(found: dict[str, object]) -> bool:
    """Whether it is for the operator while it works: neither for people nor for its removal."""
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    names = {NAME, f"{NAME}-lease"}
    return metadata["name"].rpartition(".")[2] in names and "annotations" not in metadata


async def test_what_the_operator_asks_for_is_what_its_chart_gives_it(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    kubeconfig, given = bound(cluster, ground.namespace, tmp_path)
    more = (f"--lease={NAME}", "--admin=on", "--exec=on")
    await ground.secret("control", use="control", hosts=f"{ground.namespace}.pod", token=TOKEN)
    environment = {"KUBECONFIG": str(kubeconfig)}
    url = ground.node.url
    with operator(
        cluster, tmp_path, ground.namespace, url=url, more=more, environment=environment
    ) as serving:
        await ground.workload("ws-1")
        await ground.client.create(STATEFUL_SETS, ground.namespace, stateful(ground.released["0.1.0"]))
        entry = {"name": "agents", "namespaces": [ground.namespace], "controlTokenSecretName": "control"}
        template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 5}
        await ground.make("0.1.0", targets={"workloads": [entry]}, templates=[template])
        await ground.until_ready("0.1.0")
        await ground.edit(version="0.1.1")
        await ground.until_ready("0.1.1")
        # What does not answer is asked by exec, and put back.
        ground.node.fails = "0.1.2"
        await ground.edit(version="0.1.2")
        await ground.until(
            lambda state: condition(state, "Ready").get("reason") == "RolloutFailed", seconds=60
        )
        status = await asyncio.to_thread(_refresh, serving.port, _token(cluster, ground.namespace))
        assert status == 403
    seen = asked(cluster, NAME, ground.namespace)
    assert _forbidden(seen) == []
    used = {each.right for each in seen if each.allowed}
    unused = sorted(map(str, given - used - OF_BUILDS - UNLOGGED - AFTER_A_CONFLICT))
    assert unused == [], unused


def stateful(image: str) -> dict[str, Any]:
    """A StatefulSet whose owner consents; pods of a version that failed have to be deleted."""
    pod = {"schedulerName": SCHEDULER, "containers": [{"name": "workspace", "image": image}]}
    return {
        "metadata": {"name": "ws-2", "labels": {LABEL_MANAGED: "true"}},
        "spec": {
            "replicas": 1,
            "serviceName": "ws-2",
            "selector": {"matchLabels": {"app": "ws-2"}},
            "template": {"metadata": {"labels": {"app": "ws-2"}}, "spec": pod},
        },
    }


def _forbidden(seen: list[Asked]) -> list[str]:
    return sorted({f"{each.right} in {each.namespace or 'the cluster'}" for each in seen if not each.allowed})


def _token(cluster: Cluster, namespace: str) -> str:
    """That of an account that may nothing."""
    return cluster.kubectl("-n", namespace, "create", "token", "default").stdout.strip()


def _refresh(port: int, token: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/admin/workspace-images/refresh",
        method="POST",
        headers={"Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- the same
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
