"""The npm configuration that builds get: where this machine gets packages, with credentials and the CA file for them.

npm's own files and variables say it, as `npm config` documents them, so that no document and no template need to name
a registry. What npm itself would do with the rest of its options is left to the template.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from builder.pipconf import is_loopback

_GLOBAL_FILES: Final = ("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc")
_SECTION: Final = "npmrc"
_REACHES = re.compile(r"(@[^:]+:)?registry|//\S+|strict-ssl|proxy|https-proxy|noproxy")
"""The options that say how a registry is reached; credentials are under the registry's own address."""
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Npm:
    """Options by name, values as npm takes them, and the CA file for registries if they need one."""

    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None

    @classmethod
    def of_machine(cls, environment: Mapping[str, str]) -> Self:
        """Return what npm on this machine is set to; a CA file that is not there is left out, as npm does."""
        home = Path(environment.get("HOME", "/"))
        variables = {name.lower(): value for name, value in environment.items() if value}
        named = variables.get("npm_config_globalconfig")
        files = (
            *([named] if named else _GLOBAL_FILES),
            variables.get("npm_config_userconfig") or home / ".npmrc",
        )
        options = {
            name: _VARIABLE.sub(lambda found: environment.get(found[1], found[0]), value)
            for name, value in _read(map(Path, files)).items()
        }
        for name, value in variables.items():
            if name.startswith("npm_config_"):
                options[name.removeprefix("npm_config_").replace("_", "-")] = value
        ca_file = options.get("cafile") or environment.get("NODE_EXTRA_CA_CERTS")
        return cls(
            {name: value for name, value in options.items() if _REACHES.fullmatch(name)},
            Path(ca_file) if ca_file and Path(ca_file).is_file() else None,
        )

    @property
    def on_loopback(self) -> bool:
        """Tell whether a registry listens on this machine's loopback, which a build reaches in its network only."""
        registries = (value for name, value in self.options.items() if name.endswith("registry"))
        return any(is_loopback(urlsplit(url).hostname or "") for url in registries)

    def to_npmrc(self, *, ca_file: str) -> str:
        """Return the text of an `.npmrc`, empty when there is nothing to say; `ca_file` is a path inside the build."""
        lines = [f"{name}={value}" for name, value in self.options.items()]
        lines += [f"cafile={ca_file}"] if self.ca_file else []
        return "".join(f"{line}\n" for line in lines)


def _read(files: Iterable[Path]) -> dict[str, str]:
    """Return the options of all files, those of later ones first; a file that cannot be read says nothing."""
    options: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser(
            delimiters=("=",), comment_prefixes=("#", ";"), strict=False, allow_no_value=True
        )
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep a key's case
        try:
            parser.read_string(f"[{_SECTION}]\n{file.read_text()}")
        except (OSError, ValueError, configparser.Error):
            continue
        options |= {name: _bare(value) for name, value in parser.items(_SECTION) if value}
    return options


def _bare(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
