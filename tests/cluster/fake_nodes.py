"""Nodes without a machine: kwok says of their pods that they run, for scale that no single machine has."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import build
from tests.cluster.cluster import Cluster
from tests.cluster.control_groups import joined
from tests.cluster.place import GATEWAY
from tests.parts.servers import launch

_LABELS = {"type": "fake"}
_TAINT = "kwok.x-k8s.io/node"
ON_FAKE_NODES = {"nodeSelector": _LABELS, "tolerations": [{"key": _TAINT, "operator": "Exists"}]}
"""Fields of a pod's `spec` that put it on one."""
_POD_ADDRESSES = "10.251.0.0/16"


@contextmanager
def fake_nodes(cluster: Cluster, count: int) -> Iterator[None]:
    """Add nodes whose pods are Ready at once; they are gone after the block.

    Raises:
        PartError: kwok cannot be built, or ends.
    """
    place, prefix = cluster.own, f"fake-{secrets.token_hex(3)}"
    stages = place.folder("kwok") / "stages.yaml"
    stages.write_text(build.kwok_stages())
    command = [
        *(*joined(place), *cluster.inside, str(build.kwok())),
        *("--kubeconfig", str(place.kubeconfig("admin")), "--config", str(stages)),
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        *(f"--cidr={_POD_ADDRESSES}", f"--node-ip={GATEWAY}"),
    ]
    names = [f"{prefix}-{number}" for number in range(count)]
    process = launch(command, log=place.log("kwok"))
    try:
        cluster.apply(*map(_node, names), namespace="default")
        cluster.kubectl("wait", "--for=condition=Ready", *(f"node/{name}" for name in names), "--timeout=60s")
        yield
    finally:
        cluster.kubectl("delete", "node", "--ignore-not-found", *names)
        process.end(seconds=2)


def _node(name: str) -> dict[str, object]:
    metadata = {
        "name": name,
        "annotations": {"kwok.x-k8s.io/node": "fake"},
        "labels": {**_LABELS, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
    }
    taint = {"key": _TAINT, "value": "fake", "effect": "NoSchedule"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}}
