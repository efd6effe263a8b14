"""Hands a builder run the registry's access: as files, never as arguments."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder import oci
from controller.api.v1alpha1 import Registry, WorkspaceRuntime
from controller.clients.registry import RegistryAccess, translated
from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials
from controller.settings import REGISTRY_CA, Settings


def registry_access(
    registry: Registry, settings: Settings, *, hosts: frozenset[str], folder: Path
) -> dict[str, Any]:
    """Return the `registry` part of a builder run's inputs: `insecure`, `dockerConfig`, `caFile`, `pullConfig`, `hosts`.

    The document's push Secret wins, to read its pull Secret where it names one; then GHCR_USER and GHCR_TOKEN for ghcr.io, then the user's docker config.
    All are paths, Secrets' those of their own files or folders; what has to be written of the variables goes to `folder`, readable by us alone.

    Raises:
        Terminal: a Secret is missing, incomplete or readable by others.
    """
    ca_file = settings.ca_file(registry.ca_secret_name, field=REGISTRY_CA)
    return {
        "insecure": registry.insecure,
        "dockerConfig": _docker_config(registry, settings, hosts=hosts, folder=folder),
        "caFile": str(ca_file) if ca_file else None,
        "pullConfig": _pull_config(registry, settings, hosts=hosts),
        "hosts": sorted(hosts),
    }


def secret_folders(registry: Registry, settings: Settings) -> tuple[Path, ...]:
    """Return the folders of the Secrets that `registry_access` points into; raises Terminal as `Settings.secret`."""
    named = {
        "spec.registry.pushSecretName": registry.push_secret_name,
        "spec.registry.pullSecretName": registry.pull_secret_name,
        REGISTRY_CA: registry.ca_secret_name,
    }
    files = [settings.secret(name, field=field) for field, name in named.items() if name]
    return tuple(dict.fromkeys(next(iter(each.values())).parent for each in files))


def pull_credentials(registry: Registry, settings: Settings, *, image: str) -> Mapping[str, str] | None:
    """Return what the engine's API takes to pull `image`; None: the user's docker config.

    The pull Secret wins, else the push Secret, then GHCR_USER and GHCR_TOKEN for ghcr.io.

    Raises:
        Terminal: as `registry_access`.
    """
    host = image.split("/", 1)[0]
    files = registry_secret(registry, settings, hosts=frozenset({host}), reading=True)
    if ".dockerconfigjson" in files:
        with translated():
            found = oci.DockerConfig(files[".dockerconfigjson"]).stored(host)
        if found is None or not found.identity_token:
            return {"username": found.username, "password": found.password} if found else None
        return {"identitytoken": found.identity_token}
    if files:
        pair = BasicCredentials.from_files(files)
        return {"username": pair.username, "password": pair.password}
    if settings.ghcr is not None and host == "ghcr.io":
        return {"username": settings.ghcr.username, "password": settings.ghcr.password}
    return None


def access_of(document: WorkspaceRuntime, settings: Settings, *, reading: bool) -> RegistryAccess:
    """Return how to reach the document's registry; raises Terminal as `registry_secret`."""
    registry = document.spec.registry
    return RegistryAccess(
        host=registry.artifacts.split("/", 1)[0],
        insecure=registry.insecure,
        ca_file=settings.ca_file(registry.ca_secret_name, field=REGISTRY_CA),
        secret=registry_secret(registry, settings, hosts=registry_hosts(document), reading=reading),
        ghcr=settings.ghcr,
        docker_config=settings.docker_config,
        helper_environment=settings.child_environment,
    )


def registry_hosts(document: WorkspaceRuntime) -> frozenset[str]:
    """Return the registries that a document names."""
    images = (document.spec.registry.artifacts, *(template.image for template in document.spec.templates))
    return frozenset(image.split("/", 1)[0] for image in images)


def registry_secret(
    registry: Registry, settings: Settings, *, hosts: frozenset[str], reading: bool
) -> Mapping[str, Path]:
    """Return the files of the Secret for pushing, or for reading (the one for pushing, if none is named); none: empty.

    Raises:
        Terminal: it is missing, readable by others, or has one password for more than one registry.
    """
    pulls = reading and registry.pull_secret_name is not None
    name = registry.pull_secret_name if pulls else registry.push_secret_name
    field = f"spec.registry.{'pull' if pulls else 'push'}SecretName"
    files = settings.secret(name, field=field) if name else {}
    if files and ".dockerconfigjson" not in files and len(hosts) > 1:
        raise Terminal(
            "SecretIncomplete",
            f"{field} names Secret {name}, which has one password, and the document names the registries {' and '.join(sorted(hosts))}.",
            fix="Write .dockerconfigjson there, with an entry for each.",
        )
    return files


def secret_login(registry: Registry, settings: Settings, *, hosts: frozenset[str]) -> str | None:
    """Return the docker configuration or folder of the Secret for pushing (see `builder.login`); None where none is named.

    Raises:
        Terminal: as `registry_access`.
    """
    files = registry_secret(registry, settings, hosts=hosts, reading=False)
    return _secret_path(files) if files else None


def _docker_config(
    registry: Registry, settings: Settings, *, hosts: frozenset[str], folder: Path
) -> str | None:
    files = registry_secret(registry, settings, hosts=hosts, reading=False)
    if files:
        return _secret_path(files)
    if settings.ghcr is not None and "ghcr.io" in hosts:
        return _written({"ghcr.io": settings.ghcr}, folder / "docker-config.json")
    return str(settings.docker_config) if settings.docker_config.exists() else None


def _pull_config(registry: Registry, settings: Settings, *, hosts: frozenset[str]) -> str | None:
    """Return the configuration to read with, where the document names a Secret for that."""
    if registry.pull_secret_name is None:
        return None
    return _secret_path(registry_secret(registry, settings, hosts=hosts, reading=True))


def _secret_path(files: Mapping[str, Path]) -> str:
    """Return the docker configuration of a Secret, else its folder, which then has a user name and password.

    Raises:
        Terminal: it has neither.
    """
    if ".dockerconfigjson" in files:
        return str(files[".dockerconfigjson"])
    BasicCredentials.from_files(files)
    return str(next(iter(files.values())).parent)


def _written(credentials: Mapping[str, BasicCredentials], path: Path) -> str:
    auths = {
        host: {"auth": base64.b64encode(f"{each.username}:{each.password}".encode()).decode()}
        for host, each in credentials.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"auths": auths}, stream)
    return str(path)
