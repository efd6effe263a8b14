"""Which files of a source folder count, and their common hash: read by the builder to collect, by others to see a change."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.problems import Complaint, Refused

REQUIREMENTS: Final = "requirements.txt"
"""Read for the metadata and never shipped."""
_KEPT_BACK_AT_TOP: Final = frozenset({"Dockerfile", "pytest.ini", "conftest.py", REQUIREMENTS})
_KEPT_BACK_FOLDER: Final = "tests"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the source: `path` is POSIX and relative, `location` where its bytes are (links resolved)."""

    path: str
    location: Path
    executable: bool

    @property
    def mode(self) -> int:
        """What the file gets in the build tree, whatever the mask of the user who built it."""
        return 0o755 if self.executable else 0o644


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A source folder's files by path: `shipped`, and `kept_back` (the declared exclusions that hold Python)."""

    shipped: tuple[SourceFile, ...]
    kept_back: tuple[str, ...]
    requirements: SourceFile | None

    def read(self) -> dict[str, bytes]:
        """Read all that the package is made of, by path: what ships, and the requirements.

        Raises:
            Refused: reason NotReadable.
        """
        contents: dict[str, bytes] = {}
        complaints: list[Complaint] = []
        for file in self._counted():
            try:
                contents[file.path] = file.location.read_bytes()
            except OSError as error:
                complaints.append(Complaint(file.path, 0, f"This file cannot be read: {error.strerror}."))
        if complaints:
            raise Refused("NotReadable", complaints)
        return contents

    def sha256(self, contents: Mapping[str, bytes]) -> str:
        """Hash path, mode and bytes of all that the package is made of, as `read` returned them."""
        whole = hashlib.sha256()
        for file in self._counted():
            digest = hashlib.sha256(contents[file.path]).hexdigest()
            whole.update(f"{file.mode:o} {digest} {file.path}\n".encode())
        return whole.hexdigest()

    def _counted(self) -> list[SourceFile]:
        counted = self.shipped + ((self.requirements,) if self.requirements else ())
        return sorted(counted, key=lambda each: each.path)


def read_tree(source: Path) -> SourceTree:
    """List a source folder.

    Left out by path: `Dockerfile`, `*.sh`, `pytest.ini`, `requirements.txt`, `conftest.py` and `tests/` at the top.
    Left out everywhere: names that start with a dot, `__pycache__`, `*.pyc`. Links that stay inside are followed.

    Raises:
        Refused: there is no such folder; a link leaves it, loops or leads nowhere; something in it is no file.
    """
    if not source.is_dir():
        raise Refused(
            "SourceMissing", [f"{source}: there is no such folder. Name the folder that holds the source."]
        )
    walk = _Walk(source.resolve())
    files = sorted(walk.files(), key=lambda file: file.path)
    if walk.complaints:
        raise Refused("SourceRefused", sorted(walk.complaints))
    return SourceTree(
        shipped=tuple(file for file in files if not kept_back(file.path)),
        kept_back=tuple(file.path for file in files if kept_back(file.path) and file.path.endswith(".py")),
        requirements=next((file for file in files if file.path == REQUIREMENTS), None),
    )


def kept_back(path: str) -> bool:
    """Say whether a file that counts as source is left out of the package by its path."""
    top, _, rest = path.partition("/")
    return top == _KEPT_BACK_FOLDER if rest else top in _KEPT_BACK_AT_TOP or top.endswith(".sh")


def _never_source(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__" or name.endswith(".pyc")


class _Walk:
    """One walk through a source folder, which collects what is wrong instead of stopping at it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.complaints: list[Complaint] = []

    def files(self) -> Iterator[SourceFile]:
        yield from self._below(self._root, "", ())

    def _below(self, folder: Path, prefix: str, way: tuple[Path, ...]) -> Iterator[SourceFile]:
        """Walk a folder given by its real path; `way` are the real folders it was reached through."""
        if folder in way:
            self._complain(
                prefix[:-1], "The link leads back to a folder on the way to it, in a loop. Remove it."
            )
            return
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not _never_source(entry.name)]
        for entry in entries:
            path = prefix + entry.name
            location = self._followed(entry, path) if entry.is_symlink() else Path(entry.path)
            if location is not None:
                yield from self._at(location, path, (*way, folder))

    def _at(self, location: Path, path: str, way: tuple[Path, ...]) -> Iterator[SourceFile]:
        mode = location.stat().st_mode
        if stat.S_ISDIR(mode):
            yield from self._below(location, path + "/", way)
        elif not stat.S_ISREG(mode):
            self._complain(path, "This is neither a file nor a folder; a package cannot hold it. Remove it.")
        elif not path.isprintable():
            self._complain(path, "The name has characters that no package can hold. Rename the file.")
        else:
            yield SourceFile(path, location, executable=bool(mode & stat.S_IXUSR))

    def _followed(self, entry: os.DirEntry[str], path: str) -> Path | None:
        link = Path(entry.path)
        try:
            target = link.resolve(strict=True)
        except FileNotFoundError:
            wrong = f"The link leads nowhere ({link.readlink()}). Remove or repair it."
        except (OSError, RuntimeError):  # Path.resolve raises RuntimeError for a loop before Python 3.13
            wrong = "The link leads to itself. Remove or repair it."
        else:
            if target.is_relative_to(self._root):
                return target
            wrong = f"The link leaves the source folder ({link.readlink()}). Put the file itself here."
        self._complain(path, wrong)
        return None

    def _complain(self, path: str, message: str) -> None:
        if path.partition("/")[0] != _KEPT_BACK_FOLDER:  # what does not ship need not be shippable
            self.complaints.append(
                Complaint(ascii(path)[1:-1] if not path.isprintable() else path, 0, message)
            )
