"""Fixtures of the tests that roll real workloads whose pods are played."""

from collections.abc import AsyncIterator

import pytest

from tests.cluster.cluster import Cluster
from tests.parts.workloads import Ground, ground


@pytest.fixture
async def place(cluster: Cluster, namespace: str) -> AsyncIterator[Ground]:
    """A namespace that lets its own objects roll its workloads, with a played node."""
    async with ground(cluster.kubeconfig, cluster.context, namespace) as made:
        yield made
