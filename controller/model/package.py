"""Nouns of the package index: the files and versions that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of a release. `sha256` is None when the index names none; `requires_python` is a specifier."""

    name: str
    url: str
    sha256: str | None
    requires_python: str | None = None
    yanked: bool = False

    @property
    def is_wheel(self) -> bool:
        """True for a wheel, by its name (PEP 427)."""
        return self.name.endswith(".whl")


@dataclass(frozen=True, slots=True)
class Release:
    """What an index serves for one version (normalised, PEP 440)."""

    version: str
    files: tuple[IndexFile, ...]

    @property
    def wheel(self) -> IndexFile | None:
        """The wheel that installs everywhere (`py3-none-any`), else the only one, else None."""
        wheels = [file for file in self.files if file.is_wheel]
        universal = [file for file in wheels if file.name.endswith("-none-any.whl")]
        chosen = universal or wheels
        return chosen[0] if len(chosen) == 1 else None

    @property
    def yanked(self) -> bool:
        """True when all of it is withdrawn (PEP 592): served to whoever pins it, chosen by nobody else."""
        return all(file.yanked for file in self.files)

    @property
    def sdist(self) -> IndexFile | None:
        """The source archive (PEP 625), or None."""
        return next((file for file in self.files if file.name.endswith(".tar.gz")), None)


@dataclass(frozen=True, slots=True)
class ServedPackage:
    """All that an index serves for one package, by normalised version."""

    name: str
    releases: Mapping[str, Release]

    @property
    def newest(self) -> str | None:
        """The highest version by PEP 440 order, or None for a package without files."""
        return max(self.releases, key=Version, default=None)

    @property
    def newest_final(self) -> str | None:
        """The highest version that installers choose unasked: neither pre- nor development release, and not yanked."""
        offered = [
            version
            for version, release in self.releases.items()
            if not Version(version).is_prerelease and not release.yanked
        ]
        return max(offered, key=Version, default=None)
