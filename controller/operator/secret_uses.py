"""Which Secrets a document names, for which purpose, and where each of them would be sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from controller.api.v1alpha1 import Git, WorkspaceRuntime
from controller.clients.registry_config import registry_hosts
from controller.settings import INDEX_CA, INDEX_CREDENTIALS, REGISTRY_CA, SIGNING_KEY

_USUAL_PORTS = {"http": 80, "https": 443, "ssh": 22}


class Purpose(StrEnum):
    """What a Secret is labelled for; one that is for two purposes is two Secrets."""

    GIT = "git"
    INDEX = "index"
    REGISTRY = "registry"
    DISPATCH = "dispatch"
    DOCKER_HOST = "docker-host"
    CONTROL = "control"
    CA = "ca"
    SIGNING = "signing"
    NOTIFICATION = "notification"


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One field of a document that names a Secret; `hosts` are those that it is sent to, none for what is never sent."""

    field: str
    name: str
    purpose: Purpose
    hosts: frozenset[str] = frozenset()


def uses_of(document: WorkspaceRuntime, *, github: str) -> tuple[SecretUse, ...]:
    """Return every use of a Secret in `document`, in its order; `github` is the address of GitHub's API."""
    return (
        *_of_git("spec.source.git", document.spec.source.git),
        *_of_package(document),
        *_of_registry(document),
        *_of_templates(document, host_of(github)),
        *_of_targets(document),
        *_of_notifications(document),
    )


def _of_git(field: str, git: Git | None) -> Iterator[SecretUse]:
    if git is not None and git.credentials_secret_name is not None:
        hosts = frozenset({host_of(git.url)})
        yield SecretUse(f"{field}.credentialsSecretName", git.credentials_secret_name, Purpose.GIT, hosts)


def _of_package(document: WorkspaceRuntime) -> Iterator[SecretUse]:
    index, signing = document.spec.package.index, document.spec.package.signing
    if (name := index.credentials_secret_name) is not None:
        hosts = frozenset({host_of(index.upload_url), host_of(index.simple_url)})
        yield SecretUse(INDEX_CREDENTIALS, name, Purpose.INDEX, hosts)
    if (name := index.ca_secret_name) is not None:
        yield SecretUse(INDEX_CA, name, Purpose.CA)
    if signing is not None and signing.key_secret_name is not None:
        yield SecretUse(SIGNING_KEY, signing.key_secret_name, Purpose.SIGNING)


def _of_registry(document: WorkspaceRuntime) -> Iterator[SecretUse]:
    registry = document.spec.registry
    hosts = registry_hosts(document)
    for kind, name in (("push", registry.push_secret_name), ("pull", registry.pull_secret_name)):
        if name is not None:
            yield SecretUse(f"spec.registry.{kind}SecretName", name, Purpose.REGISTRY, hosts)
    if (name := registry.ca_secret_name) is not None:
        yield SecretUse(REGISTRY_CA, name, Purpose.CA)


def _of_templates(document: WorkspaceRuntime, github: str) -> Iterator[SecretUse]:
    for number, template in enumerate(document.spec.templates):
        yield from _of_git(f"spec.templates[{number}].build.git", template.build.git)
        told = template.build.dispatch
        if told is not None and told.token_secret_name is not None:
            field = f"spec.templates[{number}].build.dispatch.tokenSecretName"
            yield SecretUse(field, told.token_secret_name, Purpose.DISPATCH, frozenset({github}))


def _of_targets(document: WorkspaceRuntime) -> Iterator[SecretUse]:
    for number, entry in enumerate(document.spec.targets.workloads):
        if (name := entry.control_token_secret_name) is not None:
            field = f"spec.targets.workloads[{number}].controlTokenSecretName"
            hosts = frozenset(f"{namespace}.pod" for namespace in entry.namespaces)
            yield SecretUse(field, name, Purpose.CONTROL, hosts)
    for number, host in enumerate(document.spec.targets.docker_hosts):
        for kind, name in (("tls", host.tls_secret_name), ("ssh", host.ssh_secret_name)):
            if name is not None:
                field = f"spec.targets.dockerHosts[{number}].{kind}SecretName"
                yield SecretUse(field, name, Purpose.DOCKER_HOST, frozenset({host_of(host.endpoint)}))


def _of_notifications(document: WorkspaceRuntime) -> Iterator[SecretUse]:
    """Where an address of a notification leads stands in the Secret itself."""
    for number, each in enumerate(document.spec.notifications):
        yield SecretUse(f"spec.notifications[{number}].secretName", each.secret_name, Purpose.NOTIFICATION)


def host_of(address: str) -> str:
    """Return `HOST` or `HOST:PORT` of an address, without the port that its scheme has anyway."""
    parts = urlsplit(address)
    usual = parts.port is None or parts.port == _USUAL_PORTS.get(parts.scheme)
    return parts.hostname or "" if usual else f"{parts.hostname}:{parts.port}"
