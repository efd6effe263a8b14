"""The operator's account as its chart makes it: the way in for a process outside of a pod, what it may, and what it asked for."""

import json
from pathlib import Path

import yaml

from tests.cluster.audit import Asked, Right, granted
from tests.cluster.cluster import Cluster
from tests.contract.charts.helm import OPERATOR, objects

NAME = "workspace-runtime-operator"
OF_ONE_RELEASE = {
    *(Right("batch", "jobs", verb) for verb in ("list", "watch", "create", "patch")),
    *(Right("", "pods", verb) for verb in ("get", "create", "delete")),
    Right("networking.k8s.io", "networkpolicies", "patch"),
    Right("", "pods/log", "get"),
}
"""What builder runs and the gate ask for where nothing goes wrong."""
OF_BUILDS = OF_ONE_RELEASE | {
    *(
        Right("batch", "jobs", verb) for verb in ("get", "delete")
    ),  # of a run that was begun before, or went wrong
    Right("networking.k8s.io", "networkpolicies", "create"),  # what an apply needs and the log does not name
    Right("", "nodes", "list"),  # of a template for several platforms
}
"""What they ask for otherwise, too."""


def bound(
    cluster: Cluster, namespace: str, folder: Path, *, inside: bool = False
) -> tuple[Path, frozenset[Right]]:
    """Apply account, roles and bindings of the chart; a kubeconfig of that account, and all that the roles allow.

    `inside`: for a process in the cluster's network.
    """
    rendered = objects(OPERATOR, "--set", "rbac.exec=true,rbac.patchPods=true", namespace=namespace)
    kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    about = [each for each in rendered if each["kind"] in kinds and _is_of_the_operator(each)]
    cluster.apply(*about, namespace=namespace)
    token = cluster.kubectl("-n", namespace, "create", "token", NAME).stdout.strip()
    way = cluster.own.kubeconfig("admin") if inside else cluster.kubeconfig
    config = yaml.safe_load(way.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file, granted([each for each in about if each["kind"] in {"Role", "ClusterRole"}])


def forbidden(seen: list[Asked]) -> list[str]:
    """What was asked for in vain."""
    return sorted({f"{each.right} in {each.namespace or 'the cluster'}" for each in seen if not each.allowed})


def _is_of_the_operator(found: dict[str, object]) -> bool:
    """Whether it is for the operator while it works: neither for people nor for its removal."""
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    names = {NAME, f"{NAME}-lease"}
    return metadata["name"].rpartition(".")[2] in names and "annotations" not in metadata
