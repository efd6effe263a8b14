"""One namespace that lets nobody in, or that cannot be read, does not hide the targets of the others."""

import pytest

from controller.api.conditions import Reason
from controller.api.names import NAMESPACE_ALLOWED_FROM
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.kube import NAMESPACES, Place, Resource
from controller.clients.kube_cache import KubeCache
from controller.model.errors import Terminal
from controller.model.target import Barred
from controller.reconcile.cluster_targets import ClusterTargets
from tests.cluster.cluster import Cluster
from tests.parts.workloads import REPOSITORY, Ground

CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")


def wanted(owner: str, *namespaces: str) -> WorkspaceRuntime:
    spec = {
        "version": "0.1.6",
        "source": {"directory": "workspace"},
        "package": {
            "index": {
                "uploadURL": "https://packages.example/",
                "simpleURL": "https://packages.example/simple/",
            }
        },
        "registry": {"artifacts": "registry.example/artifacts"},
        "templates": [{"name": "echo", "image": REPOSITORY, "build": {"directory": "echo"}}],
        "targets": {"workloads": [{"name": "agents", "namespaces": list(namespaces)}]},
    }
    metadata = {"name": "molecule-runtime", "namespace": owner}
    document = {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": metadata,
        "spec": spec,
    }
    return WorkspaceRuntime.model_validate(document)


async def test_the_targets_of_others_are_seen_and_what_is_not_is_told(
    place: Ground, cluster: Cluster
) -> None:
    await place.make(place.manifest())
    targets = ClusterTargets(KubeCache(place.cluster), place.workloads, place.workspaces)
    with cluster.namespace("closed") as closed:
        seen = await targets.observe(wanted(place.namespace, closed, place.namespace, "absent"))
        assert [(target.id, target.is_unseen) for target in seen] == [
            (f"{closed}/Namespace/{closed}", True),
            (f"{place.namespace}/Deployment/ws-1", False),
            ("absent/Namespace/absent", True),
        ]
        reasons = [target.barred.reason for target in seen if target.barred is not None]
        assert reasons == [Reason.NAMESPACE_NOT_ALLOWED, Reason.UNKNOWN]
        cause = f"kubectl label namespace {closed} runtime.molecule.ai/allowed-from={place.namespace}"
        assert (seen[0].template_unknown or "").endswith(cause)
        with pytest.raises(Terminal, match="does not let objects of namespace"):
            await targets.observe(wanted(place.namespace, closed))
        labels = {"metadata": {"labels": {"runtime.molecule.ai/allowed-from": place.namespace}}}
        await place.cluster.merge(Place(NAMESPACES, None, closed), labels, manager="tests")
        assert await targets.observe(wanted(place.namespace, closed)) == ()


async def test_one_that_is_being_deleted_is_told_as_that_until_it_is_gone(
    place: Ground, cluster: Cluster
) -> None:
    targets = ClusterTargets(KubeCache(place.cluster), place.workloads, place.workspaces)
    with cluster.namespace("going") as going:
        labels = {NAMESPACE_ALLOWED_FROM: place.namespace}
        await place.cluster.merge(
            Place(NAMESPACES, None, going), {"metadata": {"labels": labels}}, manager="tests"
        )
        last = {"metadata": {"name": "last", "finalizers": ["tests.example/wait"]}}
        await place.cluster.create(CONFIG_MAPS, going, last)
        await place.cluster.delete(NAMESPACES, None, going)
        try:
            (unseen,) = await targets.observe(wanted(place.namespace, going, place.namespace))
            assert unseen.barred == Barred(Reason.UNKNOWN, f"Namespace {going} is being deleted")
        finally:
            done = {"metadata": {"finalizers": None}}
            await place.cluster.merge(Place(CONFIG_MAPS, going, "last"), done, manager="tests")
