"""Read and check config.yaml, so that a mistake is named with its key and cure before anything starts."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from policies.limits import TaskLimits

CONFIG_FILE = "config.yaml"
DEFAULT_PORT = 8000
DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
DEFAULT_HEARTBEAT_SECONDS = 30.0

logger = logging.getLogger(__name__)


class ConfigError(Exception):
    """Something that the workspace's owner must change: a key of config.yaml or an environment variable."""

    def __init__(self, key: str, problem: str, cure: str) -> None:
        super().__init__(f"{key} {problem}; {cure}")
        self.key = key


@dataclass(frozen=True, kw_only=True)
class A2ASettings:
    """Section `a2a`: where the server listens and how much one request may carry."""

    host: str = "0.0.0.0"  # noqa: S104 - a container's port is published or not by its owner
    port: int = DEFAULT_PORT
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES


@dataclass(frozen=True, kw_only=True)
class WorkspaceConfig:
    """What config.yaml says, with defaults for what it leaves out.

    Attributes:
        version: version of this agent as its card shows it, unrelated to the runtime's version.
        runtime_config: handed to the adapter as it is.
        skills: folders under skills/ whose SKILL.md is shown in the card.
        plugins: modules in the plugins folder, in the order in which their hooks run.
        heartbeat_seconds: pause between two heartbeats.
    """

    name: str = "workspace"
    description: str = "A Molecule AI workspace"
    version: str = "0.1.0"
    role: str | None = None
    tier: int | None = None
    model: str | None = None
    runtime: str | None = None
    runtime_config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    skills: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    a2a: A2ASettings = field(default_factory=A2ASettings)
    limits: TaskLimits = field(default_factory=TaskLimits)
    heartbeat_seconds: float = DEFAULT_HEARTBEAT_SECONDS


def load_config(folder: Path) -> WorkspaceConfig:
    """Read `folder`/config.yaml; without the file every key has its default and the log says so.

    Keys that this version does not use are named in the log and otherwise left alone, because one file
    serves several versions of the runtime.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or a key has a value that cannot be used.
    """
    path = folder / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        logger.warning("Found no %s, using defaults for every key", path)
        return WorkspaceConfig()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), f"cannot be read: {error}", "make it a UTF-8 file that this user may read"
        ) from error
    return parse_config(text, path)


def parse_config(text: str, path: Path) -> WorkspaceConfig:
    """Check the text of a config.yaml; `path` is only for messages.

    Raises:
        ConfigError: as for `load_config`.
    """
    import yaml  # noqa: PLC0415 - a workspace without a config file does not pay for the parser

    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise ConfigError(str(path), f"is not valid YAML: {where}", "correct that line") from error
    top = _Section(document, "")
    a2a = top.section("a2a")
    limits = top.section("limits")
    heartbeat = top.section("heartbeat")
    defaults = WorkspaceConfig()
    config = WorkspaceConfig(
        name=top.text("name") or defaults.name,
        description=top.text("description") or defaults.description,
        version=top.text("version") or defaults.version,
        role=top.text("role"),
        tier=top.whole("tier", 0, 100),
        model=top.text("model"),
        runtime=top.text("runtime"),
        runtime_config=MappingProxyType(top.mapping("runtime_config")),
        skills=top.names("skills"),
        plugins=top.names("plugins"),
        a2a=A2ASettings(
            host=a2a.text("host") or defaults.a2a.host,
            port=a2a.whole("port", 1, 65535) or DEFAULT_PORT,
            max_body_bytes=a2a.whole("max_body_bytes", 1024, 1 << 30) or DEFAULT_MAX_BODY_BYTES,
        ),
        limits=TaskLimits(
            max_concurrent=limits.whole("max_concurrent_tasks", 1, 10_000) or defaults.limits.max_concurrent,
            max_waiting=limits.whole("max_waiting_tasks", 1, 100_000) or defaults.limits.max_waiting,
        ),
        heartbeat_seconds=heartbeat.seconds("interval_seconds") or DEFAULT_HEARTBEAT_SECONDS,
    )
    unused = sorted(top.unused() + a2a.unused() + limits.unused() + heartbeat.unused())
    if unused:
        logger.info("Leaving keys of %s that this version does not use: %s", path, ", ".join(unused))
    return config


class _Section:
    """One mapping of the document, read key by key, so that what nobody read can be named."""

    def __init__(self, value: object, name: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise ConfigError(name or CONFIG_FILE, f"is {_kind(value)}", "write a mapping of keys to values")
        self._values: dict[object, Any] = value
        self._prefix = f"{name}." if name else ""
        self._read: set[object] = set()

    def _take(self, key: str) -> Any:  # noqa: ANN401 - any YAML value; each caller checks its own
        self._read.add(key)
        return self._values.get(key)

    def _refuse(self, key: str, value: object, cure: str) -> ConfigError:
        return ConfigError(f"{self._prefix}{key}", f"is {_kind(value)}", cure)

    def text(self, key: str) -> str | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self._refuse(key, value, "write a text")
        return str(value)

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(key, value, f"write a whole number from {low} to {high}")
        return value

    def seconds(self, key: str) -> float | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:  # noqa: PLR2004 - a day
            raise self._refuse(key, value, "write a number of seconds above 0 and up to 86400")
        return float(value)

    def names(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._refuse(key, value, "write a list of names")
        for index, item in enumerate(value):
            # A name becomes a path below a folder of the workspace and must not leave it.
            if not isinstance(item, str) or not item or "/" in item or item.startswith("."):
                raise self._refuse(f"{key}[{index}]", item, "write a plain folder or module name")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._refuse(key, value, "write a mapping of keys to values")
        return {str(name): item for name, item in value.items()}

    def section(self, key: str) -> "_Section":
        return _Section(self._take(key), f"{self._prefix}{key}")

    def unused(self) -> list[str]:
        return [f"{self._prefix}{key}" for key in self._values if key not in self._read]


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool | int | float | str):
        return f"{value!r}"
    names: dict[type, str] = {list: "a list", dict: "a mapping"}
    return names.get(type(value), f"a {type(value).__name__}")
