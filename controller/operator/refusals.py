"""What the operator of a cluster does not do for an object, with what to write instead."""

from __future__ import annotations

from collections.abc import Collection

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.errors import Terminal


def check(document: WorkspaceRuntime, *, namespaces: Collection[str]) -> None:
    """Check that a document asks for what can be done in a cluster; `namespaces` are those of targets.

    Raises:
        Terminal: StandaloneOnly, NamespaceNotAllowed; what it is about, and what to write.
    """
    spec = document.spec
    if spec.registry.mode == "Engine":
        raise _standalone(
            "spec.registry.mode is Engine, and a cluster pulls from a registry.",
            "Write Remote, and in spec.registry.artifacts and every image a repository with its host.",
        )
    if spec.source.directory:
        raise _standalone(
            "spec.source.directory names a folder, and the operator sees none of yours.",
            "Write spec.source.git with the repository that it is in.",
        )
    for number, template in enumerate(spec.templates):
        if template.build.directory:
            raise _standalone(
                f"spec.templates[{number}].build.directory names a folder, and the operator sees none of yours.",
                f"Write spec.templates[{number}].build.git with the repository that it is in.",
            )
    for number, host in enumerate(spec.targets.docker_hosts):
        if host.endpoint.startswith("unix:"):
            raise _standalone(
                f"spec.targets.dockerHosts[{number}].endpoint is a socket, which only its own machine has.",
                "Write tcp://HOST:PORT with tlsSecretName, or run the document with wsr run on that machine.",
            )
    for number, entry in enumerate(spec.targets.workloads):
        if foreign := sorted(set(entry.namespaces) - set(namespaces)):
            raise Terminal(
                Reason.NAMESPACE_NOT_ALLOWED,
                f"spec.targets.workloads[{number}].namespaces names {', '.join(foreign)}, where this operator may not act.",
                fix="Have whoever installed it add the namespace to targetNamespaces of its chart, or remove it here.",
            )


def _standalone(message: str, fix: str) -> Terminal:
    return Terminal(Reason.STANDALONE_ONLY, message, fix=fix)
