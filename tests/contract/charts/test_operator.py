"""The operator as its chart installs it: two replicas within their rights, one of which works, and nothing left of it afterwards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.audit import asked
from tests.cluster.cluster import Cluster
from tests.contract.charts.helm import CRDS, OPERATOR
from tests.parts.ground import REPOSITORY
from tests.parts.our_images import push_our_image
from tests.parts.waiting import until

NAME = "workspace-runtime-operator"
SAMPLE = REPOSITORY / "crds" / "samples" / "workloads.yaml"
REFRESH = "/admin/workspace-images/refresh"


@dataclass(frozen=True)
class Installed:
    """The release, the namespace that it is in, and one that it may roll workloads in."""

    cluster: Cluster
    namespace: str
    targets: str

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments).stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get(kind, name, namespace=self.namespace)

    def pods(self) -> list[dict[str, Any]]:
        found = self.kubectl("get", "pods", "-l", f"app.kubernetes.io/name={NAME}", "-o", "json")
        return list(json.loads(found)["items"])

    def asked(self, path: str, *, pod: str = f"service/{NAME}:http", method: str = "GET") -> tuple[int, Any]:
        """What an operator answers, asked through the API server."""
        kind, _, name = pod.partition("/")
        below = f"/api/v1/namespaces/{self.namespace}/{kind}s/{name}/proxy{path}"
        return self.cluster.api.ask(below, method=method)


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Installed]:
    image, _, digest = push_our_image(NAME, cluster.registry).partition("@")
    with cluster.namespace("molecule") as namespace, cluster.namespace("agents") as targets:
        for each in (namespace, targets):
            cluster.kubectl("label", "namespace", each, "pod-security.kubernetes.io/enforce=restricted")
        install = (
            "upgrade",
            "--install",
            "--take-ownership",
            "--force-conflicts",
            "--wait",
            "--timeout=100s",
            "-n",
            namespace,
        )
        cluster.helm(*install, "crds", str(CRDS))
        values = f"image.repository={image},image.digest={digest},targetNamespaces={{{targets}}}"
        cluster.helm(*install, "workspace-runtime", str(OPERATOR), "--set", values)
        yield Installed(cluster, namespace, targets)
        cluster.helm("uninstall", "crds", "-n", namespace)


def sample(installed: Installed, name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SAMPLE.read_text())
    document["metadata"] |= {"name": name, "namespace": installed.namespace}
    spec = document["spec"]
    spec["targets"]["workloads"][0]["namespaces"] = [installed.targets]
    return document


def test_an_installed_operator_works_within_its_rights_and_leaves_nothing_behind(
    installed: Installed,
) -> None:
    cluster = installed.cluster
    assert len(installed.pods()) == 2
    for pod in installed.pods():
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    cluster.apply(sample(installed, "it"), namespace=installed.namespace)

    def conditions() -> dict[str, Any]:
        status = installed.get("wsr", "it").get("status", {})
        return {each["type"]: each for each in status.get("conditions", [])}

    until("the object has no status", lambda: "Ready" in conditions())
    until("nobody put the finalizer on", lambda: installed.get("wsr", "it")["metadata"].get("finalizers"))
    texts = [
        cluster.api.ask(
            f"/api/v1/namespaces/{installed.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        )[1]
        for pod in installed.pods()
    ]
    samples = [
        sample
        for text in texts
        for family in text_string_to_metric_families(text["message"])
        for sample in family.samples
    ]
    assert sum(each.value for each in samples if each.name == "wsr_api_requests_total") > 0

    account = asked(cluster, NAME, installed.namespace)
    assert account
    assert sorted({str(each.right) for each in account if not each.allowed}) == []

    cluster.helm("uninstall", "workspace-runtime", "-n", installed.namespace, "--wait", "--timeout=100s")
    assert not installed.get("wsr", "it")["metadata"].get("finalizers")
    installed.kubectl("delete", "wsr", "it", "--timeout=10s")
    left = installed.kubectl(
        "get", "roles,rolebindings,serviceaccounts,jobs,deployments,services", "-o", "name"
    )
    assert [name for name in left.split() if NAME in name] == []
