"""How the environment's variables are read: what each means, and what is said of one that makes no sense."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from controller.api.patterns import PLATFORM_PATTERN
from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials

_PLATFORM: Final = re.compile(PLATFORM_PATTERN)


@dataclass(frozen=True, slots=True)
class GitHubPlace:
    """Where GitHub is and what may be asked there; in a workflow the runner sets all but `release_token`."""

    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    repository: str | None = None
    """`OWNER/NAME`."""
    token: str | None = field(default=None, repr=False)
    """Reads pull requests; what it pushes starts no workflow."""
    release_token: str | None = field(default=None, repr=False)
    """Pushes a release's tag, so that the next workflow starts."""


@dataclass(frozen=True, slots=True)
class IdentityIssuer:
    """Where the CI system gives this job identity tokens (OIDC), and the token to ask for them with."""

    url: str
    token: str = field(repr=False)


def state_dir(given: Mapping[str, str]) -> Path:
    """Return where the standalone state lives; Terminal where nothing says it."""
    if own := given.get("WSR_STATE_DIR"):
        return Path(own)
    # The XDG base directory specification: a relative path is to be ignored.
    if (xdg := given.get("XDG_STATE_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "wsr"
    return home(given) / ".local" / "state" / "wsr"


def kubeconfig(given: Mapping[str, str]) -> Path | None:
    """Return the first file that KUBECONFIG names (several are not merged), else the usual one."""
    if named := given.get("KUBECONFIG", "").split(os.pathsep)[0]:
        return Path(named)
    return Path(given["HOME"]) / ".kube" / "config" if "HOME" in given else None


def home(given: Mapping[str, str]) -> Path:
    """Return the user's home folder; Terminal where there is none."""
    if folder := given.get("HOME"):
        return Path(folder)
    raise Terminal(
        "Invalid",
        "HOME is not set, so the folders for state and docker configuration are unknown.",
        fix="Set HOME, or both WSR_STATE_DIR and DOCKER_CONFIG.",
    )


def ghcr(given: Mapping[str, str]) -> BasicCredentials | None:
    """Return the credentials for ghcr.io, None for anonymous; Terminal where one half is missing."""
    user, token = given.get("GHCR_USER"), given.get("GHCR_TOKEN")
    if user and token:
        return BasicCredentials(user, token)
    if not user and not token:
        return None
    present, absent = ("GHCR_USER", "GHCR_TOKEN") if user else ("GHCR_TOKEN", "GHCR_USER")
    raise Terminal(
        "Invalid",
        f"{present} is set, but {absent} is not.",
        fix=f"Set {absent} as well, or unset {present} for anonymous access to ghcr.io.",
    )


def github(given: Mapping[str, str]) -> GitHubPlace:
    """Return where GitHub is, and what may be asked there."""
    usual = GitHubPlace()
    return GitHubPlace(
        api_url=given.get("GITHUB_API_URL", usual.api_url).rstrip("/"),
        server_url=given.get("GITHUB_SERVER_URL", usual.server_url).rstrip("/"),
        repository=given.get("GITHUB_REPOSITORY"),
        token=given.get("GITHUB_TOKEN"),
        release_token=given.get("WSR_RELEASE_TOKEN"),
    )


def identity(given: Mapping[str, str]) -> IdentityIssuer | None:
    """Return where this job gets identity tokens; None outside such a job."""
    # GitHub sets both in a job with `id-token: write`, and neither in another.
    url, token = given.get("ACTIONS_ID_TOKEN_REQUEST_URL"), given.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    return IdentityIssuer(url, token) if url and token else None


def switch(given: Mapping[str, str], name: str) -> bool:
    """Return whether the variable `name` is on; Terminal where it is neither on nor off."""
    value = given.get(name, "off")
    if value not in {"on", "off"}:
        raise Terminal("Invalid", f"{name} is {value!r}.", fix="Write on or off.")
    return value == "on"


def peers(given: Mapping[str, str]) -> Sequence[Mapping[str, Any]] | None:
    """Return the peers that WSR_PROBE_CALLERS lists; None for any, Terminal where it lists none."""
    if (text := given.get("WSR_PROBE_CALLERS")) is None:
        return None
    with suppress(ValueError):
        peers = json.loads(text)
        if isinstance(peers, list) and peers and all(isinstance(each, dict) for each in peers):
            return peers
    raise Terminal(
        "Invalid",
        f"WSR_PROBE_CALLERS is {text!r}, which is no list of the peers of a NetworkPolicy.",
        fix='Write it as JSON, for example [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "operator"}}}].',
    )


def image_platform(given: Mapping[str, str]) -> str | None:
    """Return what MOLECULE_IMAGE_PLATFORM says; None where it says nothing, Terminal where that is no platform."""
    value = given.get("MOLECULE_IMAGE_PLATFORM")
    if value is not None and _PLATFORM.fullmatch(value) is None:
        raise Terminal(
            "Invalid",
            f"MOLECULE_IMAGE_PLATFORM is {value!r}, which is no platform.",
            fix="Write OS/ARCHITECTURE, for example linux/amd64.",
        )
    return value


def hosts(given: Mapping[str, str], name: str) -> frozenset[str] | None:
    """Return the hosts of a variable that lists them with commas between; None when it is not set."""
    text = given.get(name)
    return None if text is None else frozenset(each.strip() for each in text.split(",") if each.strip())
