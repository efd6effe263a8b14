"""Builder runs as Jobs of a real cluster: the place that they run in, and the same run as a subprocess beside it."""

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.names import API_VERSION, KIND
from controller.clients.jobs import JobPlace
from controller.clients.kube import KubeCluster
from controller.clients.runs import Runs
from controller.settings import Settings
from tests.cluster.builder_image import push_builder_image
from tests.cluster.cluster import Cluster
from tests.integration.images.small import Run, make_template, template_entry
from tests.integration.jobs.ground import Ground
from tests.parts.ground import REPOSITORY
from tests.parts.leftovers import remove_leftovers
from tests.parts.small_wheel import make_wheel


@pytest.fixture(scope="session")
def builder_image(cluster: Cluster, engine: str, base_image: str) -> str:
    return push_builder_image(cluster, engine, base_image)


@pytest.fixture(scope="session")
def crd(cluster: Cluster) -> None:
    cluster.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        str(REPOSITORY / "crds" / "workspaceruntime.yaml"),
    )
    cluster.kubectl("wait", "--for=condition=Established", "crd/workspaceruntimes.runtime.molecule.ai")


@pytest.fixture(scope="session")
def full_build(
    cluster: Cluster, engine: str, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The entry of a template whose full build is in the cluster's registry, by the name that its network has for it."""
    prefix, work = f"tj{secrets.token_hex(3)}-", tmp_path_factory.mktemp("full")
    entry = template_entry(
        "echo", f"{cluster.registry}/{prefix}echo", make_template(work / "template"), base=base_image
    )
    wheel = make_wheel(work / "old", "0.1.0")
    try:
        full = Run(engine, work / "out", "Remote", {"insecure": True}).cascade(wheel, entry).template("echo")
    finally:
        remove_leftovers(engine, prefix)
    image = f"{cluster.registry_inside}/{prefix}echo"
    known = {"image": f"{image}:full", "digest": full["digest"], "inputsSha256": entry["inputsSha256"]}
    return {**entry, "image": image, "fullBuild": {**known, "inventory": None}}


@pytest.fixture
def subprocesses() -> Runs:
    return Runs(dict(os.environ), parallel=2)


@pytest.fixture
async def ground(
    cluster: Cluster,
    crd: None,  # noqa: ARG001 -- the object's kind
    builder_image: str,
    namespace: str,
    tmp_path: Path,
) -> AsyncIterator[Ground]:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    sample = yaml.safe_load((REPOSITORY / "crds" / "samples" / "remote.yaml").read_text())
    del sample["metadata"]["namespace"]
    cluster.apply(sample, namespace=namespace)
    metadata = cluster.get("workspaceruntime", "molecule-runtime", namespace=namespace)["metadata"]
    work = tmp_path / "work"
    work.mkdir()
    # What is asked from here on is asked as the operator does: from within the cluster's network.
    with cluster.entered():
        inside = cluster.own.kubeconfig("admin")
        async with KubeCluster(inside) as kube:
            owner = {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
            yield Ground(
                replace(cluster, kubeconfig=inside),
                kube,
                namespace,
                work,
                JobPlace(namespace=namespace, owner=owner, image=builder_image, work=work),
                Settings(
                    state_dir=tmp_path,
                    docker_host="",
                    docker_config=tmp_path / "none",
                    secrets_dir=tmp_path / "secrets",
                ),
                f"{cluster.registry_inside}/{namespace}/artifacts-{secrets.token_hex(2)}",
            )
