"""Check everything that can be checked before serving, and tell whose fault it is when it fails.

Whoever replaces workspaces rolls an image back that is built wrongly; rolling back does not help a workspace
that is configured wrongly. The exit code says which it was.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType

from adapters import VARIABLE, get_adapter, load_adapter_module
from adapters.base import BaseAdapter
from config import ConfigError, WorkspaceConfig, load_config
from environment import Environment, read_environment


class ExitCode(IntEnum):
    """How the process ends.

    BUILD (sysexits EX_SOFTWARE): the image cannot work: adapter or dependency missing or broken.
    ADDRESS (EX_OSERR): the port cannot be bound.
    CONFIGURATION (EX_CONFIG): config.yaml, the environment or the adapter's settings must be changed.
    """

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    BUILD = 70
    ADDRESS = 71
    CONFIGURATION = 78


class StartError(Exception):
    """The workspace cannot start; `code` says whose fault it is, the text what to do."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the owner of the workspace asks for, checked."""

    environment: Environment
    config: WorkspaceConfig


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the environment and config.yaml.

    Raises:
        StartError: the owner must change something first.
    """
    try:
        environment = read_environment(environ)
        return Settings(environment=environment, config=load_config(environment.config_folder))
    except ConfigError as error:
        raise StartError(ExitCode.CONFIGURATION, f"Configuration error: {error}") from error


def find_adapter(config: WorkspaceConfig) -> tuple[ModuleType, type[BaseAdapter]]:
    """Import the adapter; return its module and class.

    Raises:
        StartError: `ADAPTER_MODULE` is not set (configuration), or what it names is broken (build).
    """
    try:
        return load_adapter_module(), get_adapter(config.runtime)
    except (Exception, SystemExit) as error:
        if isinstance(error, KeyError) and not os.environ.get(VARIABLE):
            raise StartError(ExitCode.CONFIGURATION, f"Configuration error: {error.args[0]}") from error
        raise StartError(ExitCode.BUILD, _build_error(error)) from error


def _build_error(error: BaseException) -> str:
    return (
        f"Build error: the adapter {os.environ[VARIABLE]!r} that {VARIABLE} names cannot be used: "
        f"{type(error).__name__}: {error}; "
        "correct the adapter or install what it needs, and build the image again"
    )
