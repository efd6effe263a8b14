"""Proves that a folder holds what a commit says, by git's own hashes and without git: no file in a cache is taken on trust."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1 << 20
_FOLDER_MODE: Final = b"40000"


def tree_id(folder: Path) -> str:
    """Return the name that git gives a folder's content; raises OSError, or ValueError for what no commit can hold."""
    entries = []
    with os.scandir(folder) as listing:
        for entry in listing:
            mode, name = _mode(entry), os.fsencode(entry.name)
            if mode == _FOLDER_MODE:
                inner = tree_id(Path(entry.path))
                if inner != _EMPTY:  # git knows files; a folder without any is none
                    entries.append((name + b"/", mode, name, inner))
            else:
                entries.append((name, mode, name, _blob_id(Path(entry.path), mode)))
    content = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(inner) for _, mode, name, inner in sorted(entries)
    )
    return object_id(b"tree", content)


def object_id(kind: bytes, content: bytes) -> str:
    """Return the name of an object of git, SHA-1 in hex."""
    return hashlib.sha1(b"%s %d\0" % (kind, len(content)) + content, usedforsecurity=False).hexdigest()


def named_tree(commit: str, path: str, objects: Sequence[bytes]) -> str | None:
    """Return the tree that a commit has at a path, `.` or folders with `/` between; None where `objects` do not prove it.

    `objects` are the commit and the trees on the way, as git stores them: each is named by the hash of the next.
    """
    if not objects or object_id(b"commit", objects[0]) != commit:
        return None
    found = objects[0].split(b"\n", 1)[0].removeprefix(b"tree ").decode(errors="replace")
    names = steps(path)
    if len(names) != len(objects) - 1:
        return None
    for name, tree in zip(names, objects[1:], strict=True):
        inner = folder_in(tree, name) if object_id(b"tree", tree) == found else None
        if inner is None:
            return None
        found = inner
    return found


def steps(path: str) -> list[str]:
    """Return the folders that a path leads through."""
    return [] if path == "." else path.split("/")


def folder_in(tree: bytes, name: str) -> str | None:
    """Return the id of a folder in a tree as git stores it; None where there is none of this name."""
    rest = tree
    while rest:
        head, _, rest = rest.partition(b"\0")
        mode, _, found = head.partition(b" ")
        if found == os.fsencode(name):
            return rest[:20].hex() if mode == _FOLDER_MODE else None
        rest = rest[20:]
    return None


def _mode(entry: os.DirEntry[str]) -> bytes:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return b"120000"
    if stat.S_ISDIR(mode):
        return _FOLDER_MODE
    if stat.S_ISREG(mode):
        return b"100755" if mode & stat.S_IXUSR else b"100644"
    raise ValueError(f"{entry.path} is neither a file nor a folder")


def _blob_id(path: Path, mode: bytes) -> str:
    if mode == b"120000":
        return object_id(b"blob", os.fsencode(path.readlink()))
    size = path.stat().st_size
    whole = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            whole.update(chunk)
    return whole.hexdigest()


_EMPTY: Final = object_id(b"tree", b"")
