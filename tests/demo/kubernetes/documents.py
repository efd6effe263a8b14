"""What the user of the demo writes: the object, and workspaces as a platform makes them for a restricted namespace."""

from collections.abc import Sequence
from typing import Any

from tests.demo.kubernetes.ground import Ground

NAMESPACE = "molecule"
AGENTS = "agents"
NAME = "molecule-runtime"
PORT = 8000


def runtime_document(ground: Ground, version: str, templates: Sequence[str]) -> dict[str, Any]:
    """The object."""
    cluster = ground.cluster
    index = cluster.index_inside

    def git(repository: str) -> dict[str, object]:
        url = f"{cluster.git_inside.url}/{repository}.git"
        return {"url": url, "credentialsSecretName": "git", "insecure": True}

    return {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": NAME},
        "spec": {
            "version": version,
            "source": {"git": git("core")},
            "package": {
                "index": {
                    "uploadURL": index.upload_url,
                    "simpleURL": index.simple_url,
                    "credentialsSecretName": "index",
                }
            },
            "registry": {"artifacts": ground.repository("artifacts"), "insecure": True},
            "templates": [
                {
                    "name": name,
                    "image": ground.repository(name),
                    "startDeadlineSeconds": 120,
                    "probe": {"model": "None", "securityContext": {"runAsUser": 1000}},
                    "build": {"git": git(f"template-{name}"), "args": {"BASE_IMAGE": ground.base}},
                }
                for name in templates
            ],
            "targets": {
                "workloads": [{"name": "agents", "namespaces": [AGENTS], "controlTokenSecretName": "control"}]
            },
            "rollout": {"maxUnavailable": "25%", "drain": {"timeoutSeconds": 120}},
        },
    }


def workload(kind: str, name: str, image: str) -> dict[str, Any]:
    """A workspace whose owner consents; a StatefulSet keeps its files on a claimed volume."""
    container = {
        "name": "workspace",
        "image": image,
        "env": [
            {"name": "WORKSPACE_ID", "value": name},
            {"name": "TIER", "value": "2"},
            {"name": "WORKSPACE_CONTROL_TOKEN_FILE", "value": "/run/secrets/control/token"},
        ],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/.well-known/agent-card.json", "port": PORT},
            "periodSeconds": 1,
        },
        "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "workspace", "mountPath": "/workspace"},
            {"name": "control", "mountPath": "/run/secrets/control", "readOnly": True},
        ],
    }
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "control", "secret": {"secretName": "control"}}],
    }
    spec: dict[str, Any] = {"replicas": 1, "selector": {"matchLabels": {"app": name}}}
    if kind == "StatefulSet":
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        spec |= {
            "serviceName": name,
            "volumeClaimTemplates": [{"metadata": {"name": "workspace"}, "spec": claim}],
        }
    else:
        spec["strategy"] = {"type": "Recreate"}
        pod["volumes"] = [*pod["volumes"], {"name": "workspace", "emptyDir": {}}]
    spec["template"] = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"runtime.molecule.ai/managed": "true"}},
        "spec": spec,
    }
