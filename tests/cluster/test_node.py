"""A cluster of one node runs what users run: Deployments, StatefulSets, Services, and workspaces with the real runtime."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import WorkspaceImage
from tests.parts.ground import PartError

LABELS = {"app": "it"}
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod_spec(image: str, *, folder: str = "/tmp", **more: Any) -> dict[str, Any]:  # noqa: ANN401, S108 -- fields; in a pod
    """A server of the files in a folder, on port 8000."""
    container = {
        "name": "it",
        "image": image,
        "command": ["python3", "-m", "http.server", "--directory", folder, "8000"],
        "readinessProbe": {"httpGet": {"port": 8000}, "periodSeconds": 1},
        **more,
    }
    return {"terminationGracePeriodSeconds": 1, "containers": [container]}


def workload(kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "it"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
            **more,
        },
    }


def service() -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8000}]
    spec = {"selector": LABELS, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "it"}, "spec": spec}


def python(cluster: Cluster, namespace: str, target: str, code: str) -> str:
    """What a line of Python prints in a pod."""
    return cluster.kubectl("-n", namespace, "exec", target, "--", "python3", "-c", code).stdout.strip()


def fetch(url: str) -> str:
    return f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())"


def test_the_node_is_ready_and_says_the_version_that_is_pinned(cluster: Cluster) -> None:
    node = cluster.get("node", "node1", namespace="default")
    pinned = (Path(__file__).parent / "modules/kubebox/go.mod").read_text()
    assert f"\tk8s.io/kubernetes {node['status']['nodeInfo']['kubeletVersion']}\n" in pinned
    assert {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"] == "True"


def test_a_deployment_from_the_registry_is_reached_by_the_name_of_its_service(
    cluster: Cluster, namespace: str, workspace_image: WorkspaceImage
) -> None:
    cluster.apply(
        workload("Deployment", pod_spec(workspace_image.reference), replicas=2),
        service(),
        namespace=namespace,
    )
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/it", "--timeout=60s")
    assert "Directory listing" in python(cluster, namespace, "deployment/it", fetch("http://it"))
    full_name = f"http://it.{namespace}.svc.cluster.local"
    assert "Directory listing" in python(cluster, namespace, "deployment/it", fetch(full_name))
    address = cluster.get("service", "it", namespace=namespace)["spec"]["clusterIP"]
    with cluster.entered():
        assert b"Directory listing" in urllib.request.urlopen(f"http://{address}", timeout=5).read()


def test_a_stateful_set_keeps_its_data_when_its_pod_is_deleted(
    cluster: Cluster, namespace: str, workspace_image: WorkspaceImage
) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    mounts = [{"name": "data", "mountPath": "/data"}]
    spec = pod_spec(
        workspace_image.reference, folder="/data", volumeMounts=mounts, securityContext={"runAsUser": 0}
    )
    cluster.apply(
        workload("StatefulSet", spec, serviceName="it", volumeClaimTemplates=[claim]), namespace=namespace
    )
    cluster.kubectl("-n", namespace, "rollout", "status", "statefulset/it", "--timeout=60s")
    first = cluster.get("pod", "it-0", namespace=namespace)["metadata"]["uid"]
    python(cluster, namespace, "it-0", "open('/data/kept', 'w').write('what was written')")
    cluster.kubectl("-n", namespace, "delete", "pod", "it-0")
    cluster.kubectl("-n", namespace, "rollout", "status", "statefulset/it", "--timeout=60s")
    assert cluster.get("pod", "it-0", namespace=namespace)["metadata"]["uid"] != first
    assert python(cluster, namespace, "it-0", "print(open('/data/kept').read())") == "what was written"


def test_a_restricted_namespace_refuses_what_asks_for_more_and_says_what(
    cluster: Cluster, namespace: str, workspace_image: WorkspaceImage
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}}
    with pytest.raises(PartError, match=r'violates PodSecurity "restricted:latest".*runAsNonRoot != true'):
        cluster.apply({**pod, "spec": pod_spec(workspace_image.reference)}, namespace=namespace)
    conforming = pod_spec(workspace_image.reference, securityContext=RESTRICTED)
    cluster.apply({**pod, "spec": conforming}, namespace=namespace)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/it", "--timeout=60s")
    assert python(cluster, namespace, "it", "import os; print(os.getuid())") == "1000"


def test_a_workspace_answers_with_its_version_and_takes_commands(
    cluster: Cluster, namespace: str, workspace_image: WorkspaceImage
) -> None:
    container = {
        "name": "workspace",
        "image": workspace_image.reference,
        "securityContext": RESTRICTED,
        "readinessProbe": {"httpGet": {"path": "/runtime", "port": 8000}, "periodSeconds": 1},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ws"}, "spec": {"containers": [container]}}
    cluster.apply(pod, namespace=namespace)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/ws", "--timeout=60s")
    wanted = (workspace_image.version, workspace_image.content_sha256, "serving")

    status, through_api = cluster.api.ask(f"/api/v1/namespaces/{namespace}/pods/ws:8000/proxy/runtime")
    assert status == 200
    assert (through_api["version"], through_api["contentSha256"], through_api["state"]) == wanted
    address = cluster.get("pod", "ws", namespace=namespace)["status"]["podIP"]
    with cluster.entered():
        inside = json.load(urllib.request.urlopen(f"http://{address}:8000/runtime", timeout=5))
    assert inside["contentSha256"] == workspace_image.content_sha256
    told = cluster.kubectl("-n", namespace, "exec", "ws", "--", "molecule-runtime", "ctl", "status").stdout
    assert json.loads(told)["version"] == workspace_image.version
    assert workspace_image.built == "Append"


@contextmanager
def server_of_this_machine() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from outside")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_pod_reaches_registry_index_git_server_and_what_is_exposed_and_nothing_else(
    cluster: Cluster, namespace: str, workspace_image: WorkspaceImage, tmp_path: Path
) -> None:
    repository = cluster.git_folder / f"{namespace}.git"
    subprocess.run(["git", "init", "-q", "--bare", repository], check=True)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}}
    cluster.apply({**pod, "spec": pod_spec(workspace_image.reference)}, namespace=namespace)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/it", "--timeout=60s")

    def ask(url: str) -> str:
        return python(cluster, namespace, "it", fetch(url))

    name = workspace_image.reference.partition("/")[2].partition("@")[0]
    assert name in json.loads(ask(f"http://{cluster.registry_inside}/v2/_catalog"))["repositories"]
    assert "Simple Index" in ask(cluster.index_inside.simple_url)
    with pytest.raises(PartError, match="HTTP Error 401"):
        ask(f"{cluster.git_inside.url}/{namespace}.git/info/refs")
    cloned = tmp_path / "clone"
    header = f"http.extraHeader=Authorization: {cluster.git.authorization}"
    subprocess.run(
        ["git", "-c", header, "clone", "-q", f"{cluster.git.url}/{namespace}.git", cloned], check=True
    )
    assert cloned.is_dir()
    with server_of_this_machine() as address:
        with cluster.exposed(address) as there:
            assert ask(f"http://{there}") == "from outside"
        with pytest.raises(PartError, match="Connection refused"):
            ask(f"http://{address}")
