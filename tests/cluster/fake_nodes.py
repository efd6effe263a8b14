"""Nodes without a machine: kwok says of their pods that they run, for scale that no single machine has."""

import json
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
def fake_nodes(cluster: Cluster, count: int, *, restart_seconds: float = 0.0) -> Iterator[None]:
    """Add nodes whose pods are Ready at once; they are gone after the block.

    A pod whose image is changed is ready again after `restart_seconds`, in two steps, as a kubelet tells it.

    Raises:
        PartError: kwok cannot be built, or ends.
    """
    place, prefix = cluster.own, f"fake-{secrets.token_hex(3)}"
    stages = place.folder("kwok") / "stages.yaml"
    stages.write_text("\n---\n".join([build.kwok_stages(), *_restarting(restart_seconds)]))
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


_ENDS = "{waiting: {reason: ContainerCreating}}"
_RUNS = "{running: {startedAt: {{ Now | Quote }}}}"


def _restarting(seconds: float) -> list[str]:
    """Stages for a container that ends at once when its image is changed, and runs with that some time later."""
    return [
        _stage(
            "ends", was_ready="true", seconds=0, image=".status.containerStatuses", state=_ENDS, restarts=0
        ),
        _stage("runs", was_ready="false", seconds=seconds, image=".spec.containers", state=_RUNS, restarts=1),
    ]


def _stage(name: str, *, was_ready: str, seconds: float, image: str, state: str, restarts: int) -> str:  # noqa: PLR0913 -- what differs
    status = "(index .status.containerStatuses 0)"
    ready, shown = ("false", "False") if was_ready == "true" else ("true", "True")
    runs = f"{{{{ (index {image} 0).image | Quote }}}}"
    template = (
        f'conditions: [{{type: Ready, status: "{shown}"}}, {{type: ContainersReady, status: "{shown}"}}]\n'
        f"containerStatuses:\n- name: {{{{ {status}.name | Quote }}}}\n  image: {runs}\n  imageID: {runs}\n"
        f"  ready: {ready}\n  restartCount: {{{{ add {status}.restartCount {restarts} }}}}\n  state: {state}\n"
    )
    changed = ".spec.containers[0].image == .status.containerStatuses[0].image"
    expressions = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.containerStatuses[0].ready", "operator": "In", "values": [was_ready]},
        {"key": changed, "operator": "In", "values": ["false"]},
    ]
    document = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": f"pod-image-{name}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": expressions},
            "delay": {"durationMilliseconds": int(seconds * 1000)},
            "next": {"statusTemplate": template},
        },
    }
    return json.dumps(document)


def _node(name: str) -> dict[str, object]:
    metadata = {
        "name": name,
        "annotations": {"kwok.x-k8s.io/node": "fake"},
        "labels": {**_LABELS, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
    }
    taint = {"key": _TAINT, "value": "fake", "effect": "NoSchedule"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": [taint]}}
