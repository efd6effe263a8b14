"""The file system of an image, put together from its layers as an engine would, without extracting or running any of it.

Only what an inventory is made of is kept of files: names, modes, and the content of a few small ones.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Final

OPAQUE: Final = ".wh..wh..opq"
HIDDEN: Final = ".wh."
MOST_LINKS: Final = 40
"""How many symbolic links a path may lead through, as in Linux."""
FOLDER: Final = "folder"
FILE: Final = "file"
LINK: Final = "link"
OTHER: Final = "other"

_METADATA: Final = re.compile(
    r"\.dist-info/(METADATA|RECORD)$|\.egg-info(/(PKG-INFO|requires\.txt))?$|(^|/)pyvenv\.cfg$"
)
_METADATA_LIMIT_BYTES: Final = 8 << 20
_PROGRAM: Final = re.compile(r"(^|/)s?bin/[^/]+$")
_FIRST_LINE_BYTES: Final = 512
_BYTE_CODE: Final = re.compile(r"/__pycache__/[^/]+\.pyc$")
_MAGIC_BYTES: Final = 4
_PYTHON: Final = re.compile(r"(^|/)(python|libpython)(3\.\d+)(\.so[0-9.]*)?$")
_VERSION: Final = r"(?<![0-9.]){}\.\d+(?:(?:a|b|rc)\d+)?(?=\+?\x00)"


class Unreadable(Exception):  # noqa: N818 -- the word callers decide on
    """A layer is no tar that can be read here; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file, folder or link.

    `target` is where a link leads. `content` is that of metadata; of programs their first line if it names an
    interpreter, of byte code its magic number, of a Python (or its library) its version.
    """

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer. `same_as` is the path of the file that a hard link is another name of."""

    path: str
    facts: Facts
    same_as: str = ""


@dataclass(slots=True)
class _Node:
    facts: Facts
    below: dict[str, _Node] = field(default_factory=dict)


def read_layer(file: IO[bytes]) -> list[Entry]:
    """Return the entries of a layer, compressed or not; raises Unreadable."""
    try:
        with tarfile.open(fileobj=file, mode="r|*") as tar:
            return [_entry(tar, member) for member in tar]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Unreadable(f"{error}; a tar, plain or packed with gzip, can be read") from error


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    path = member.name.removeprefix("./").strip("/")
    kind = FOLDER if member.isdir() else LINK if member.issym() else FILE if member.isreg() else OTHER
    facts = Facts(
        kind, member.mode & 0o7777, member.uid, member.gid, int(member.mtime),
        member.linkname if member.issym() else "",
        _kept(tar, member, path) if member.isreg() else b"",
    )  # fmt: skip
    return Entry(path, facts, member.linkname.removeprefix("./").strip("/") if member.islnk() else "")


def _kept(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> bytes:
    """Return as much of a file's content as an inventory needs."""
    stream = tar.extractfile(member)
    if stream is None:
        return b""
    if _METADATA.search(path):
        return stream.read(_METADATA_LIMIT_BYTES)
    if _BYTE_CODE.search(path):
        return stream.read(_MAGIC_BYTES)
    if python := _PYTHON.search(path):
        found = re.search(_VERSION.format(re.escape(python[3])).encode(), stream.read())
        return found[0] if found else b""
    if _PROGRAM.search(path):
        first = stream.read(_FIRST_LINE_BYTES).partition(b"\n")[0]
        return first if first.startswith(b"#!") else b""
    return b""


class Tree:
    """The folders of an image. Paths are absolute."""

    def __init__(self, layers: Iterable[Iterable[Entry]]) -> None:
        self._root = _Node(Facts(FOLDER))
        for layer in layers:
            self._add(list(layer))

    def find(self, path: str) -> Facts | None:
        """Return what a path leads to, through links; None when there is nothing."""
        node = self._node(self.resolve(path))
        return node.facts if node else None

    def resolve(self, path: str) -> str:
        """Return a path without links in it, as `os.path.realpath`; what does not exist stays as it is."""
        done, waiting, links = "/", [part for part in path.split("/") if part], 0
        while waiting:
            part = waiting.pop(0)
            if part in {".", ".."}:
                done = posixpath.normpath(posixpath.join(done, part))
                continue
            done, above = posixpath.join(done, part), done
            node = self._node(done)
            if node and node.facts.kind == LINK and links < MOST_LINKS:
                links += 1
                target = node.facts.target
                done = "/" if target.startswith("/") else above
                waiting = [step for step in target.split("/") if step] + waiting
        return done

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder, sorted; nothing when there is none."""
        node = self._node(self.resolve(folder))
        return sorted(node.below) if node else []

    def files_below(self, folder: str) -> Iterator[str]:
        """Yield the paths of all that is below a folder and is no folder, links not followed."""
        node = self._node(folder)
        waiting = [(folder.rstrip("/"), node)] if node else []
        while waiting:
            where, node = waiting.pop()
            for name, child in node.below.items():
                if child.facts.kind == FOLDER:
                    waiting.append((f"{where}/{name}", child))
                else:
                    yield f"{where}/{name}"

    def _add(self, layer: list[Entry]) -> None:
        # NOTE: Whiteouts hide what is below this layer, wherever they stand in it (OCI image specification, Whiteouts).
        for entry in layer:
            folder, name = posixpath.split(entry.path)
            above = self._node(self.resolve(f"/{folder}")) if name.startswith(HIDDEN) else None
            if above and name == OPAQUE:
                above.below.clear()
            elif above:
                above.below.pop(name.removeprefix(HIDDEN), None)
        for entry in layer:
            if not posixpath.basename(entry.path).startswith(HIDDEN):
                self._put(entry)

    def _put(self, entry: Entry) -> None:
        folder, name = posixpath.split(f"/{entry.path}")
        facts = entry.facts
        if entry.same_as:
            facts = self.find(f"/{entry.same_as}") or facts
        if not name:
            self._root.facts = facts
            return
        above = self._folder(self.resolve(folder))
        there = above.below.get(name)
        if there and facts.kind == FOLDER == there.facts.kind:
            there.facts = facts
        else:
            above.below[name] = _Node(facts)

    def _folder(self, path: str) -> _Node:
        """Return a folder, made as an engine makes one that has no entry."""
        node = self._root
        for part in (part for part in path.split("/") if part):
            node = node.below.setdefault(part, _Node(Facts(FOLDER)))
        return node

    def _node(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        for part in (part for part in path.split("/") if part):
            node = node.below.get(part) if node else None
        return node
