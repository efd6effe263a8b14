"""The charts in a real cluster: what people may do with objects, who may approve, and what a removal leaves."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.contract.charts.helm import CRDS, OPERATOR
from tests.parts.ground import REPOSITORY, PartError
from tests.parts.waiting import until

SAMPLE = REPOSITORY / "crds" / "samples" / "workloads.yaml"
APPROVE = "runtime.molecule.ai/approve"
NAME = "workspace-runtime-operator"


@dataclass(frozen=True)
class Release:
    """Both charts as they are installed, in a namespace of their own; no operator runs."""

    cluster: Cluster
    namespace: str

    def role(self, name: str) -> str:
        """The full name of a ClusterRole for people."""
        return f"{self.namespace}.{NAME}.{name}"

    def as_(self, user: str, *arguments: str, check: bool = True) -> str:
        """What kubectl says to somebody."""
        done = self.cluster.kubectl("-n", self.namespace, "--as", user, *arguments, check=check)
        return (done.stdout + done.stderr).strip()

    def bind(self, user: str, role: str, *, verb: str) -> None:
        """Give somebody a role, and wait until the API server knows that `verb` comes with it."""
        name = f"{user}-{role.rpartition('.')[2]}"
        self.cluster.kubectl(
            "-n", self.namespace, "create", "rolebinding", name, f"--user={user}", f"--clusterrole={role}"
        )
        until(f"{user} may {verb}", lambda: self.may(user, verb), seconds=20)

    def may(self, user: str, verb: str, what: str = "workspaceruntimes") -> bool:
        return self.as_(user, "auth", "can-i", verb, what, check=False).endswith("yes")


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    install = ("upgrade", "--install", "--take-ownership", "--force-conflicts", "--wait", "--timeout=60s")
    with cluster.namespace("molecule") as namespace:
        cluster.helm(*install, "crds", str(CRDS), "-n", namespace)
        options = ("--set", "replicas=1,uninstall.releaseObjects=false")
        cluster.helm("install", "workspace-runtime", str(OPERATOR), "-n", namespace, *options)
        try:
            yield Release(cluster, namespace)
        finally:
            cluster.helm("uninstall", "workspace-runtime", "-n", namespace)
            cluster.helm("uninstall", "crds", "-n", namespace)


def test_who_may_edit_a_namespace_sees_its_objects_and_changes_none(release: Release) -> None:
    release.bind("editor", "edit", verb="watch")  # a controller of the cluster puts aggregated roles together
    assert [verb for verb in ("get", "list", "watch") if not release.may("editor", verb)] == []
    writing = ("create", "update", "patch", "delete", "approve", "refresh")
    assert [verb for verb in writing if release.may("editor", verb)] == []
    assert release.may("editor", "create", "deployments.apps"), "the role edit is bound"
    release.bind("maintainer", release.role("edit"), verb="patch")
    assert [verb for verb in ("create", "patch", "delete") if not release.may("maintainer", verb)] == []
    assert [verb for verb in ("approve", "refresh") if release.may("maintainer", verb)] == []


def test_only_who_has_the_verb_approve_may_approve_and_everybody_may_take_it_back(release: Release) -> None:
    document = yaml.safe_load(SAMPLE.read_text())
    document["metadata"] |= {"name": "to-approve", "namespace": release.namespace}
    document["spec"]["rollout"] = {"approval": "Required"}
    release.cluster.apply(document, namespace=release.namespace)
    release.bind("writer", release.role("edit"), verb="patch")
    release.bind("approver", release.role("approve"), verb="approve")

    def annotate(user: str, value: str) -> str:
        return release.as_(user, "annotate", "--overwrite", "wsr", "to-approve", value, check=False)

    refusal = (
        "Only who has the verb approve on workspaceruntimes.runtime.molecule.ai may set annotation "
        f"runtime.molecule.ai/approve of {release.namespace}/to-approve."
    )
    tries = itertools.count()  # a policy that was just installed is in force a moment later
    until("the policy is in force", lambda: refusal in annotate("writer", f"{APPROVE}=try-{next(tries)}"))
    assert "annotated" in annotate("writer", "example.org/else=fine")
    assert "annotated" in annotate("approver", f"{APPROVE}=sha256:1")
    assert "annotated" in annotate("writer", "example.org/else=still-fine"), "what was approved stays so"
    assert refusal in annotate("writer", f"{APPROVE}=sha256:2")
    assert "annotated" in annotate("writer", f"{APPROVE}-")
    without = (
        "patch",
        "wsr",
        "to-approve",
        "--type=merge",
        '--patch={"spec": {"rollout": {"approval": "None"}}}',
    )
    assert f"may set rollout.approval of {release.namespace}/to-approve to None." in release.as_(
        "writer", *without, check=False
    )
    assert "patched" in release.as_("approver", *without)
    bold = document["metadata"] | {"name": "bold", "annotations": {APPROVE: "x"}}
    made = json.dumps({**document, "metadata": bold})
    with pytest.raises(PartError, match="Only who has the verb approve"):
        release.cluster.kubectl("--as", "writer", "create", "-f", "-", stdin=made)


def test_the_definition_outlives_its_release(release: Release) -> None:
    cluster = release.cluster
    crd = json.loads(
        cluster.kubectl("get", "crd", "workspaceruntimes.runtime.molecule.ai", "-o", "json").stdout
    )
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_operator_may_do_nothing_beyond_its_namespaces(release: Release) -> None:
    def may(account: str) -> set[str]:
        name = f"system:serviceaccount:{release.namespace}:{account}"
        told = release.cluster.kubectl("--as", name, "auth", "can-i", "--list", "-n", "default").stdout
        return {line.split()[0] for line in told.splitlines()[1:] if line and not line.startswith(" ")}

    ours = {"nodes", "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io"}
    assert may(NAME) - may("default") == ours
