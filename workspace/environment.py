"""Read the process environment once, so that every variable is checked, named and documented in one place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import ConfigError

DEFAULT_CONFIG_FOLDER = "/configs"
DEFAULT_GRACE_SECONDS = 25.0
DEFAULT_WEDGED_AFTER_SECONDS = 300.0
MAX_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the container's environment asks of this workspace.

    Attributes:
        config_folder: holds config.yaml, skills/, plugins/ and the snapshot (`WORKSPACE_CONFIG_PATH`).
        plugins_folder: where plugins named in config.yaml are looked up (`PLUGINS_DIR`).
        workspace_id: name under which the platform knows this workspace (`WORKSPACE_ID`).
        platform_url: where heartbeats go; none are sent without it (`PLATFORM_URL`).
        public_url: base URL to print in the agent card instead of the caller's own (`WORKSPACE_URL`).
        port: overrides `a2a.port` of config.yaml (`PORT`).
        control_token_file: file with the token that may drain over HTTP (`WORKSPACE_CONTROL_TOKEN_FILE`).
        grace_seconds: how long running tasks may go on after SIGTERM (`WORKSPACE_GRACE_SECONDS`). Keep it
            some seconds below the stop timeout of the container or pod.
        wedged_after_seconds: an event loop silent for longer is reported as wedged
            (`WORKSPACE_WEDGED_AFTER_SECONDS`). Healthy agent SDKs block it for up to two minutes.
    """

    config_folder: Path
    plugins_folder: Path
    workspace_id: str | None
    platform_url: str | None
    public_url: str | None
    port: int | None
    control_token_file: Path | None
    grace_seconds: float
    wedged_after_seconds: float


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of config.yaml, which may be needed before the rest is known to be right."""
    return Path(environ.get("WORKSPACE_CONFIG_PATH") or DEFAULT_CONFIG_FOLDER)


def read_environment(environ: Mapping[str, str] = os.environ) -> Environment:
    """Check and collect the variables above.

    Raises:
        ConfigError: a variable has a value that cannot be used; the text names it and the cure.
    """
    folder = config_folder(environ)
    token_file = environ.get("WORKSPACE_CONTROL_TOKEN_FILE")
    return Environment(
        config_folder=folder,
        plugins_folder=Path(environ.get("PLUGINS_DIR") or folder / "plugins"),
        workspace_id=environ.get("WORKSPACE_ID") or None,
        platform_url=_url(environ, "PLATFORM_URL"),
        public_url=_url(environ, "WORKSPACE_URL"),
        port=_port(environ),
        control_token_file=Path(token_file) if token_file else None,
        grace_seconds=_seconds(environ, "WORKSPACE_GRACE_SECONDS", DEFAULT_GRACE_SECONDS),
        wedged_after_seconds=_seconds(
            environ, "WORKSPACE_WEDGED_AFTER_SECONDS", DEFAULT_WEDGED_AFTER_SECONDS
        ),
    )


def _url(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if not value:
        return None
    if not value.startswith(("http://", "https://")):
        raise ConfigError(name, f"is not an http or https URL: {value!r}", "write it as http://host:port")
    return value.rstrip("/")


def _port(environ: Mapping[str, str]) -> int | None:
    value = environ.get("PORT")
    if not value:
        return None
    if not value.isdecimal() or not 0 < int(value) <= MAX_PORT:
        raise ConfigError("PORT", f"is not a TCP port: {value!r}", "use a number from 1 to 65535 or unset it")
    return int(value)


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name)
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(name, f"is not a number of seconds: {value!r}", f"use for example {default:g}")
    return seconds
