"""The operator asks the API server for what its chart gives it: for nothing more, and the chart gives nothing that it never asks for."""

import asyncio
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from controller.api.names import LABEL_MANAGED
from controller.clients.kube import STATEFUL_SETS, Place
from tests.cluster.audit import Right, asked
from tests.cluster.cluster import Cluster
from tests.e2e.account import NAME, OF_BUILDS, bound, forbidden
from tests.e2e.operated import Operated, condition, operator
from tests.parts.played_node import SCHEDULER, TOKEN

UNLOGGED = {Right("", "configmaps", "create"), Right("", "pods/exec", "create")}
"""What the server wants beside the verb that it logs: of an apply to an object that is not there, and of exec."""
AFTER_A_CONFLICT = {
    *(Right("apps", kind, "get") for kind in ("deployments", "statefulsets")),
    Right("runtime.molecule.ai", "workspaceruntimes", "get"),
}
"""What is read when somebody changed it before a watch could tell, which may happen here or not."""


async def test_what_the_operator_asks_for_is_what_its_chart_gives_it(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    kubeconfig, given = bound(cluster, ground.namespace, tmp_path)
    more = (f"--lease={NAME}", "--admin=on", "--exec=on", "--patch-pods=on")
    await ground.secret("control", use="control", hosts=f"{ground.namespace}.pod", token=TOKEN)
    environment = {"KUBECONFIG": str(kubeconfig)}
    url = ground.node.url
    with operator(
        cluster, tmp_path, ground.namespace, url=url, more=more, environment=environment
    ) as serving:
        await ground.workload("ws-1")
        await ground.client.create(
            STATEFUL_SETS, ground.namespace, stateful("ws-2", ground.released["0.1.0"])
        )
        on_delete = {"updateStrategy": {"type": "OnDelete"}}
        in_place = stateful("ws-3", ground.released["0.1.0"], **on_delete)
        await ground.client.create(STATEFUL_SETS, ground.namespace, in_place)
        entry = {"name": "agents", "namespaces": [ground.namespace], "controlTokenSecretName": "control"}
        template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 5}
        await ground.make("0.1.0", targets={"workloads": [entry]}, templates=[template])
        await ground.until_ready("0.1.0")
        # Whether a pod was made from another template is looked up where its owner has changed it since.
        changed = {"spec": {"template": {"metadata": {"annotations": {"example.test/tier": "2"}}}}}
        await ground.client.merge(Place(STATEFUL_SETS, ground.namespace, "ws-3"), changed, manager="a-user")
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
    assert forbidden(seen) == []
    used = {each.right for each in seen if each.allowed}
    unused = sorted(map(str, given - used - OF_BUILDS - UNLOGGED - AFTER_A_CONFLICT))
    assert unused == [], unused


def stateful(name: str, image: str, **spec: object) -> dict[str, Any]:
    """A StatefulSet whose owner consents; pods of a version that failed have to be deleted."""
    pod = {"schedulerName": SCHEDULER, "containers": [{"name": "workspace", "image": image}]}
    return {
        "metadata": {"name": name, "labels": {LABEL_MANAGED: "true"}},
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }


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
