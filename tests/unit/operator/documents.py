"""A document of a cluster, with whatever fields a test is about."""

from typing import Any

from controller.api.load import load_object
from controller.api.v1alpha1 import WorkspaceRuntime


def whole(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of the spec
    """The object as an API server has it."""
    usual = {
        "version": "0.1.0",
        "source": {"git": {"url": "https://git.example/team/core", "path": "workspace"}},
        "package": {
            "index": {
                "uploadURL": "https://up.example/team/",
                "simpleURL": "https://packages.example:8443/simple/",
            }
        },
        "registry": {"artifacts": "registry.example/team/artifacts"},
        "templates": [
            {"name": "echo", "image": "registry.example/team/echo", "build": {"strategy": "Follow"}}
        ],
        "targets": {"workloads": [{"name": "agents", "namespaces": ["agents", "more"]}]},
    }
    return {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {
            "name": "runtime",
            "namespace": "molecule",
            "uid": "one",
            "generation": 1,
            "resourceVersion": "10",
        },
        "spec": {**usual, **spec},
    }


def document(**spec: Any) -> WorkspaceRuntime:  # noqa: ANN401 -- any field of the spec
    """The same, read."""
    return load_object(whole(**spec))
