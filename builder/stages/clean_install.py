"""Installs a wheel as its users do, into an environment with nothing else in it, and asks what it got."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.archive import Archive
from builder.findings import Finding
from builder.pipconf import Index
from builder.problems import Refused

_PROVIDERS: Final = Path(__file__).with_name("providers_script.py")
_KEPT: Final = frozenset(
    {"PIP_CERT", "PIP_CLIENT_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_PROXY", "PIP_RETRIES"}
)
"""How to talk to an index, as opposed to which one; these hold for a named index too."""
_SHOWN: Final = 600


def index_of_pip(url: str | None) -> Index:
    """Return the indexes that pip is to use: the named one alone, else what pip here is set to, else its default.

    Raises:
        Refused: reason NoIndex; pip does not tell its default.
    """
    machine = Index.of_machine(os.environ)
    if url is not None:
        return Index.named(url, machine.ca_file)
    return machine if machine.url else replace(machine, url=_default_url())


def _default_url() -> str:
    # pip has no other public place that tells it
    told = _pip(["install", "--help"], {**os.environ, "COLUMNS": "1000"}).stdout
    found = re.search(r"Base URL of the Python Package Index \(default (\S+)\)", told)
    if found is None:
        raise Refused(
            "NoIndex", ["pip is set to no index and does not tell its default. Name one with --index-url."]
        )
    return found[1]


@dataclass(frozen=True, slots=True)
class CleanEnvironment:
    """A virtual environment without pip in it; pip works on it from outside."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> CleanEnvironment:
        """Make it from the Python that runs the builder."""
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        return cls(folder)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def script(self, name: str) -> Path:
        """Return where a console script is."""
        return self.folder / "bin" / name

    def install(self, archive: Archive, index: Index, *, named: bool) -> list[Finding]:
        """Install the wheel with its dependencies and check that all fits together.

        `named` says that `index` is to be used alone, whatever pip here is set to.
        """
        options, environment = _of_index(index) if named else ([], dict(os.environ))
        done = self._pip(
            ["install", "--no-compile", "--progress-bar=off", *options, str(archive.path)], environment
        )
        if done.returncode:
            return [_unresolved(archive, done.stderr)]
        checked = self._pip(["check"], environment)
        return [
            Finding(f"{archive.dist_info}/METADATA", 0, "DependencyConflict", f"pip check: {line}")
            for line in (checked.stdout.splitlines() if checked.returncode else [])
        ]

    def providers(self, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return for each dotted name the distributions that provide it here; none when nothing does."""
        answer = subprocess.run(  # noqa: S603 -- the environment's own interpreter and our own script
            [str(self.python), "-I", str(_PROVIDERS)],
            input=json.dumps(sorted(set(names))),
            capture_output=True,
            text=True,
            check=True,
        )
        found: Mapping[str, Sequence[str]] = json.loads(answer.stdout)
        return found

    def _pip(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return _pip(["--python", str(self.python), *arguments], environment)


def _pip(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in environment.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return subprocess.run(  # noqa: S603 -- this interpreter and its pip
        [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )


def _of_index(index: Index) -> tuple[list[str], dict[str, str]]:
    """Return pip's options and environment for one index and no other."""
    options = [f"--index-url={index.url}", *(f"--trusted-host={host}" for host in index.trusted_hosts)]
    options += [f"--cert={index.ca_file}"] if index.ca_file else []
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PIP_") or name in _KEPT
    }
    return options, {**environment, "PIP_CONFIG_FILE": os.devnull}


def _unresolved(archive: Archive, said: str) -> Finding:
    """Return pip's refusal as a finding about the requirement that it names."""
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    # What pip left out by itself it tells first: that is no cause.
    errors = [line for line in errors if not line.startswith("Ignored the following ")] or errors
    message = " ".join((errors or said.strip().splitlines()[-1:] or ["pip failed without words."])[0].split())
    path = f"{archive.dist_info}/METADATA"
    named = {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", message)}
    line = 0
    for number, text in enumerate(archive.files[path].decode(errors="replace").splitlines(), 1):
        field, _, value = text.partition(":")
        if (field == "Requires-Dist" and canonicalize_name(Requirement(value).name) in named) or (
            field == "Requires-Python" and "different Python" in message
        ):
            line = number
            break
    return Finding(path, line, "DependencyUnresolvable", f"pip: {message[:_SHOWN]}")
