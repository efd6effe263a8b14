"""The images of operator and builder run where pods may do nothing but their work."""

from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.parts.our_images import push_our_image

RESTRICTED = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
RUN = {
    "workspace-runtime-operator": [
        "python",
        "-c",
        "import controller.cli.main, kubernetes.aio, os; print(os.getuid())",
    ],
    "workspace-runtime-builder": [
        "python",
        "-I",
        "-c",
        "import builder.verbs.package, builder.verbs.verify, os; print(os.getuid())",
    ],
}


@pytest.mark.parametrize("name", RUN)
def test_an_image_runs_in_a_restricted_namespace_with_a_root_that_cannot_be_written(
    cluster: Cluster, namespace: str, name: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    container: dict[str, Any] = {
        "name": "it",
        "image": push_our_image(name, cluster.registry),
        "command": RUN[name],
        "securityContext": RESTRICTED,
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}}
    cluster.apply({**pod, "spec": {"restartPolicy": "Never", "containers": [container]}}, namespace=namespace)
    phase = "jsonpath={.status.phase}=Succeeded"
    done = cluster.kubectl("-n", namespace, "wait", f"--for={phase}", "pod/it", "--timeout=60s", check=False)
    log = cluster.kubectl("-n", namespace, "logs", "it").stdout
    assert (done.returncode, log) == (0, "65532\n")
