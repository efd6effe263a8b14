"""A cluster is asked who calls the admin endpoint, and whether that one may."""

import json
from collections.abc import AsyncIterator

import pytest

from controller.admin.cluster_guard import ClusterGuard
from controller.clients.kube import KubeCluster
from tests.cluster.cluster import Cluster


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeCluster]:
    async with KubeCluster(cluster.kubeconfig, context=cluster.context) as opened:
        yield opened


async def test_whoever_has_the_verb_may_and_nobody_else_does(
    client: KubeCluster, cluster: Cluster, namespace: str
) -> None:
    for name in ("may", "may-not"):
        cluster.kubectl("-n", namespace, "create", "serviceaccount", name)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "refresh"},
        "rules": [
            {"apiGroups": ["runtime.molecule.ai"], "resources": ["workspaceruntimes"], "verbs": ["refresh"]}
        ],
    }
    cluster.apply(role, namespace=namespace)
    binding = ("create", "rolebinding", "it", "--role=refresh", f"--serviceaccount={namespace}:may")
    cluster.kubectl("-n", namespace, *binding)

    def token(name: str) -> str:
        out = cluster.kubectl("-n", namespace, "create", "token", name, "-o", "json").stdout
        return str(json.loads(out)["status"]["token"])

    guard = ClusterGuard(client, namespace)
    assert await guard.refusal(token("may")) is None
    assert await guard.refusal(token("may-not")) == (
        f"system:serviceaccount:{namespace}:may-not may not refresh workspaceruntimes.runtime.molecule.ai in namespace"
        f" {namespace}. Bind it the role for that."
    )
    assert await ClusterGuard(client, "default").refusal(token("may")) is not None, "a right of one namespace"
    assert await guard.refusal("made up") == (
        "The cluster does not know this token. Get one with: kubectl create token SERVICEACCOUNT"
    )
