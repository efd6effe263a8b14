"""Fixtures: a cluster for the whole run, and a namespace in it for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, existing_cluster, own_cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster")
    group.addoption(
        "--kube-context",
        metavar="NAME",
        help="use the cluster of this context of KUBECONFIG, if tests may, in place of one of their own",
    )


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A Kubernetes of one node, which nobody else uses."""
    if context := pytestconfig.getoption("--kube-context"):
        kubeconfig = os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config"
        yield existing_cluster(Path(kubeconfig), str(context))
        return
    with own_cluster() as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a namespace of this test's own."""
    with cluster.namespace() as name:
        yield name
