"""What is kept of a cluster's objects says all that is read of them, and is small."""

import json
from typing import Any

import pytest

from controller.clients._kube_slim import slim
from controller.clients._kube_workloads import parse_pod, parse_workload
from controller.model.workload import WorkloadKind

WRITTEN: dict[str, Any] = {
    "f:spec": {
        "f:template": {
            "f:spec": {
                "f:containers": {'k:{"name":"workspace"}': {".": {}, "f:image": {}, "f:env": {"f:x": {}}}}
            }
        }
    }
}


def workload(kind: WorkloadKind) -> dict[str, Any]:
    strategy = "strategy" if kind is WorkloadKind.DEPLOYMENT else "updateStrategy"
    return {
        "apiVersion": "apps/v1",
        "kind": str(kind),
        "metadata": {
            "name": "ws-1",
            "namespace": "agents",
            "uid": "1f",
            "resourceVersion": "17",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "ws-1"},
            "annotations": {
                "runtime.molecule.ai/owner": "agents/runtime",
                "kubectl.kubernetes.io/last-applied-configuration": "x" * 5000,
            },
            "managedFields": [
                {"manager": "helm", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": WRITTEN},
                {"manager": "kube-controller-manager", "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}},
            ],
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "ws-1"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]},
            strategy: {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "partition": 1}},
            "paused": True,
            "template": {
                "metadata": {"labels": {"app": "ws-1"}},
                "spec": {
                    "terminationGracePeriodSeconds": 77,
                    "containers": [{"name": "workspace", "image": "r/echo:1", "env": [{"name": "x", "value": "y" * 5000}]}],
                    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "home"}}, {"name": "w", "emptyDir": {}}],
                },
            },
        },
        "status": {
            "observedGeneration": 3,
            "replicas": 2,
            "updatedReplicas": 1,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}],
        },
    }  # fmt: skip


POD: dict[str, Any] = {
    "metadata": {"name": "ws-1-0", "namespace": "agents", "uid": "2f", "resourceVersion": "18", "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "x" * 5000}]},
    "spec": {
        "nodeName": "node1",
        "nodeSelector": {"n": "n" * 5000},
        "containers": [{"name": "workspace", "image": "r/echo:1", "ports": [{"containerPort": 8123}], "volumeMounts": []}],
    },
    "status": {
        "podIP": "10.0.0.7",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}],
        "containerStatuses": [
            {"name": "workspace", "imageID": "r@sha256:" + "a" * 64, "containerID": "c1", "ready": True, "restartCount": 4, "lastState": {}}
        ],
    },
}  # fmt: skip
STATES = [
    {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
    {"terminated": {"reason": "Error", "exitCode": 1}},
    {},
]


@pytest.mark.parametrize("kind", list(WorkloadKind))
def test_what_is_kept_of_a_workload_says_all_that_is_read_of_it(kind: WorkloadKind) -> None:
    whole = workload(kind)
    kept = slim(str(kind), whole)
    assert len(json.dumps(kept)) < 1500
    del whole["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert parse_workload(kind, kept) == parse_workload(kind, whole)


@pytest.mark.parametrize("state", STATES)
def test_and_what_is_kept_of_a_pod_likewise(state: dict[str, Any]) -> None:
    status = {**POD["status"]["containerStatuses"][0], "state": state}
    whole = {**POD, "status": {**POD["status"], "containerStatuses": [status]}}
    assert parse_pod(slim("Pod", whole), "workspace") == parse_pod(whole, "workspace")
    assert len(json.dumps(slim("Pod", whole))) < 1000


def test_an_object_of_another_kind_stays_whole() -> None:
    assert slim("ConfigMap", {"data": {"a": "1"}}) == {"data": {"a": "1"}}
