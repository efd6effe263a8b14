"""One namespace that lets nobody in, or that cannot be read, does not hide the targets of the others."""

import pytest

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.kube import NAMESPACES, Place
from controller.clients.kube_cache import KubeCache
from controller.model.errors import Terminal
from controller.reconcile.cluster_targets import ClusterTargets
from tests.cluster.cluster import Cluster
from tests.parts.workloads import REPOSITORY, Ground


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
