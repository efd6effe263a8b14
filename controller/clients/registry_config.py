"""Hands a builder run the registry's access: as files, never as arguments."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.api.v1alpha1 import Registry
from controller.model.errors import Terminal
from controller.settings import BasicCredentials, Settings


def registry_access(
    registry: Registry, settings: Settings, *, hosts: frozenset[str], folder: Path
) -> dict[str, Any]:
    """Return the `registry` part of a builder run's inputs: `insecure`, `dockerConfig` and `caFile`.

    The document's push Secret wins, then GHCR_USER and GHCR_TOKEN for ghcr.io, then the user's docker config.
    A configuration that has to be written goes to `folder`, readable by us alone.

    Raises:
        Terminal: a Secret is missing, incomplete or readable by others.
    """
    ca_file = settings.secret(registry.ca_secret_name).get("ca.crt") if registry.ca_secret_name else None
    if registry.ca_secret_name and ca_file is None:
        raise Terminal(
            "SecretIncomplete",
            f"Secret {registry.ca_secret_name} has no ca.crt.",
            fix="Write the registry's CA there.",
        )
    return {
        "insecure": registry.insecure,
        "dockerConfig": _docker_config(registry, settings, hosts=hosts, folder=folder),
        "caFile": str(ca_file) if ca_file else None,
    }


def pull_credentials(registry: Registry, settings: Settings, *, image: str) -> Mapping[str, str] | None:
    """Return what the engine's API takes to pull `image` (`username`, `password`); None: the user's docker config.

    Raises:
        Terminal: as `registry_access`.
    """
    host = image.split("/", 1)[0]
    if registry.push_secret_name:
        files = settings.secret(registry.push_secret_name)
        if ".dockerconfigjson" in files:
            return _of_config(files[".dockerconfigjson"], host)
        found = BasicCredentials.from_files(files)
        return {"username": found.username, "password": found.password}
    if settings.ghcr is not None and host == "ghcr.io":
        return {"username": settings.ghcr.username, "password": settings.ghcr.password}
    return None


def _of_config(path: Path, host: str) -> Mapping[str, str] | None:
    try:
        entry = json.loads(path.read_text())["auths"][host]
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except KeyError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Terminal(
            "SecretIncomplete",
            f"{path} is not a docker configuration: {error}.",
            fix="Write one as docker login does.",
        ) from error
    return {"username": username, "password": password}


def _docker_config(
    registry: Registry, settings: Settings, *, hosts: frozenset[str], folder: Path
) -> str | None:
    if registry.push_secret_name:
        files = settings.secret(registry.push_secret_name)
        if ".dockerconfigjson" in files:
            return str(files[".dockerconfigjson"])
        return _written(dict.fromkeys(hosts, BasicCredentials.from_files(files)), folder)
    if settings.ghcr is not None and "ghcr.io" in hosts:
        return _written({"ghcr.io": settings.ghcr}, folder)
    return str(settings.docker_config) if settings.docker_config.exists() else None


def _written(credentials: Mapping[str, BasicCredentials], folder: Path) -> str:
    auths = {
        host: {"auth": base64.b64encode(f"{each.username}:{each.password}".encode()).decode()}
        for host, each in credentials.items()
    }
    path = folder / "docker-config.json"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"auths": auths}, stream)
    return str(path)
