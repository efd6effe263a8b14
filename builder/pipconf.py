"""The pip configuration that one build gets: where packages come from, and that exactly the candidate is taken."""

from __future__ import annotations

import configparser
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_SECTIONS: Final = ("global", "install")


@dataclass(frozen=True, slots=True)
class Index:
    """Where a build gets packages: index URLs as pip takes them, and a CA file for them if they need one."""

    url: str = ""
    extra_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None

    @classmethod
    def named(cls, url: str, ca_file: Path | None) -> Index:
        """Return the index of a document; plain HTTP makes its host a trusted one."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        return cls(url, (), (host,) if url.startswith("http://") else (), ca_file)

    @classmethod
    def of_machine(cls, environment: Mapping[str, str]) -> Index:
        """Return what pip on this machine is set to, from its configuration files and the `PIP_` variables.

        Folders of wheels are left out: a build container does not have them.
        """
        home = Path(environment.get("HOME", "/"))
        parser = configparser.RawConfigParser()
        files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
        named = environment.get("PIP_CONFIG_FILE")
        parser.read([*files, *([Path(named)] if named else [])])

        def option(name: str) -> str:
            values = [parser.get(section, name, fallback="") for section in _SECTIONS]
            values.append(environment.get(f"PIP_{name.upper().replace('-', '_')}", ""))
            return next((value for value in reversed(values) if value), "")

        ca_file = option("cert")
        return cls(
            option("index-url"),
            tuple(option("extra-index-url").split()),
            tuple(option("trusted-host").split()),
            Path(ca_file) if ca_file else None,
        )

    @property
    def on_loopback(self) -> bool:
        """Tell whether an index listens on this machine's loopback, which a build reaches in its network only."""
        return any(is_loopback(urlsplit(url).hostname or "") for url in (self.url, *self.extra_urls))

    def to_conf(self, *, wheels: str, constraint: str, ca_file: str) -> str:
        """Return the text of a `pip.conf`; the arguments are paths inside the build."""
        lines = [
            "[global]",
            f"find-links = {wheels}",
            f"constraint = {constraint}",
            "disable-pip-version-check = true",
        ]
        lines += [f"index-url = {self.url}"] if self.url else []
        lines += [f"extra-index-url = {' '.join(self.extra_urls)}"] if self.extra_urls else []
        lines += [f"trusted-host = {' '.join(self.trusted_hosts)}"] if self.trusted_hosts else []
        lines += [f"cert = {ca_file}"] if self.ca_file else []
        return "\n".join(lines) + "\n"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
