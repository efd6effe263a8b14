"""What a full build holds, as far as a layer on top of it must know: the noun that stages pass to each other."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class NotInventoried(Exception):  # noqa: N818 -- the word callers decide on
    """The image cannot be looked into: it has no Python, or one that fails; `str()` says which."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Mode, owner and modification time (seconds) of an existing folder."""

    mode: int
    uid: int
    gid: int
    mtime: int

    @property
    def plain(self) -> bool:
        """Tell whether an engine that makes this folder by itself gives it the same mode and owner."""
        return (self.mode, self.uid, self.gid) == (0o755, 0, 0)


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution in the image: its version and its requirements as they stand in its metadata."""

    version: str
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that an image does not meet; `installed` is None when it has no such distribution."""

    name: str
    installed: str | None
    needed: str

    def __str__(self) -> str:
        if self.installed is None:
            return f"{self.name} is not installed"
        return f"{self.name} is {self.installed}, needed {self.needed}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """Interpreter, folders and distributions of one image; every path is absolute and canonical.

    `magic` (hex) is the number of the byte code that the interpreter reads; empty where nobody knows it.
    `runtime_folders` hold nothing but the installed runtime (its package, its dist-info), `runtime_files` are its
    files outside of them, byte code included. `runtime_versions` has more than one entry only in a damaged image.
    """

    interpreter: str
    python_version: str
    magic: str
    cache_tag: str
    environment: Mapping[str, str]
    paths: Mapping[str, str]
    folders: Mapping[str, Folder]
    runtime_versions: tuple[str, ...]
    runtime_content_sha256: str
    runtime_folders: tuple[str, ...]
    runtime_files: tuple[str, ...]
    installed: Mapping[str, Installed]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_document` wrote or the script in the image printed; raises ValueError when it is neither."""
        try:
            interpreter, runtime = document["interpreter"], document["runtime"]
            return cls(
                interpreter=interpreter["path"],
                python_version=interpreter["version"],
                magic=interpreter["magic"],
                cache_tag=interpreter["cacheTag"],
                environment=dict(document["environment"]),
                paths=dict(document["paths"]),
                folders={path: Folder(*facts) for path, facts in document["folders"].items()},
                runtime_versions=tuple(runtime["versions"]),
                runtime_content_sha256=runtime["contentSha256"],
                runtime_folders=tuple(runtime["folders"]),
                runtime_files=tuple(runtime["files"]),
                installed={
                    name: Installed(found["version"], tuple(found["requires"]))
                    for name, found in document["installed"].items()
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an inventory: {error!r}") from error

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a stored inventory; raises ValueError when it is none."""
        return cls.from_document(json.loads(raw))

    def to_document(self) -> dict[str, Any]:
        """Return the inventory as it is stored beside its image."""
        return {
            "interpreter": {
                "path": self.interpreter,
                "version": self.python_version,
                "magic": self.magic,
                "cacheTag": self.cache_tag,
            },
            "environment": dict(self.environment),
            "paths": dict(self.paths),
            "folders": {path: [at.mode, at.uid, at.gid, at.mtime] for path, at in self.folders.items()},
            "runtime": {
                "versions": list(self.runtime_versions),
                "contentSha256": self.runtime_content_sha256,
                "folders": list(self.runtime_folders),
                "files": list(self.runtime_files),
            },
            "installed": {
                name: {"version": found.version, "requires": list(found.requires)}
                for name, found in self.installed.items()
            },
        }

    def write(self, file: Path) -> Path:
        """Store the inventory, whole or not at all, and return where."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{secrets.token_hex(4)}")
        partial.write_text(json.dumps(self.to_document(), sort_keys=True))
        partial.rename(file)
        return file

    def unmet(self, requirements: Sequence[str]) -> list[Unmet]:
        """Return what of a wheel's `Requires-Dist` the image does not have; as text, each is one phrase for people.

        Requirements behind extras are followed into the distributions that declare them; all others were met when
        those distributions were installed.
        """
        return list(dict.fromkeys(self._unmet([(text, frozenset({""})) for text in requirements])))

    def _unmet(self, waiting: list[tuple[str, frozenset[str]]]) -> Iterator[Unmet]:
        seen: set[tuple[str, frozenset[str]]] = set()
        while waiting:
            text, extras = waiting.pop(0)
            requirement = _requirement(text)
            if not self._applies(requirement, extras):
                continue
            found = self.installed.get(canonicalize_name(requirement.name))
            if found is None:
                yield Unmet(requirement.name, None, str(requirement.specifier))
            elif not requirement.specifier.contains(found.version, prereleases=True):
                yield Unmet(requirement.name, found.version, str(requirement.specifier))
            elif (
                requirement.extras and (key := (requirement.name, frozenset(requirement.extras))) not in seen
            ):
                seen.add(key)
                waiting.extend(
                    (inner, frozenset(requirement.extras)) for inner in found.requires if "extra" in inner
                )

    def _applies(self, requirement: Requirement, extras: frozenset[str]) -> bool:
        if requirement.marker is None:
            return "" in extras
        return any(requirement.marker.evaluate({**self.environment, "extra": extra}) for extra in extras)


@cache
def _requirement(text: str) -> Requirement:
    """Return what a requirement says: images of one runtime ask for the same ones, and to parse takes long."""
    return Requirement(text)
