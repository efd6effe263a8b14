"""The output folder: the tool's own earlier output is replaced, and nothing of anybody else's is ever touched."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from builder.problems import Refused, TryAgain

MARKER: Final = ".built-by-workspace-runtime.json"
"""Lists what the tool wrote into a folder, path by path with sha256: how it knows its own from anything else."""
_PARTIAL_MARKER: Final = f"{MARKER}.partial"
_UNFINISHED: Final = None
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def check_folder(folder: Path) -> None:
    """Check that all that a folder holds is earlier output of this tool, unchanged.

    Raises:
        Refused: reason ForeignOutput.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Refused("ForeignOutput", [f"{folder}: this is a file. Name a folder for the build tree."])
    own = _own(folder)
    strange = [
        f"{folder}: {path} is not this tool's own output. Move it away, or choose another folder."
        if path not in own
        else f"{folder}: {path} was changed after it was built. Move it away, or choose another folder."
        for path, location in _present(folder)
        if path not in own or own[path] not in {_UNFINISHED, _digest(location)}
    ]
    if strange:
        raise Refused("ForeignOutput", sorted(strange))


def fill_folder(folder: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Replace the tool's earlier output in a folder by files, given with their modes by path.

    A run that is cut off leaves a marker that still names all that may be there, so that the next one succeeds.

    Raises:
        Refused: reason ForeignOutput, as `check_folder`; reason NotWritable.
    """
    check_folder(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        before = _own(folder)
        _mark(folder, dict.fromkeys(before.keys() | files.keys(), _UNFINISHED))
        gone = before.keys() - files.keys()
        for path in gone:
            (folder / path).unlink(missing_ok=True)
        for path, (content, mode) in files.items():
            _write(folder / path, content, mode)
        _remove_empty(folder, gone)
        _mark(folder, {path: hashlib.sha256(content).hexdigest() for path, (content, _) in files.items()})


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translate what the system says when a folder cannot be written.

    Raises:
        Refused: reason NotWritable.
        TryAgain: reason DiskFull.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise TryAgain(
                "DiskFull", f"No space is left to write {folder}. Free some and run again."
            ) from error
        raise Refused(
            "NotWritable",
            [f"{error.filename or folder}: cannot be written ({error.strerror}). Choose another folder."],
        ) from error


def _present(folder: Path) -> list[tuple[str, Path]]:
    """List all that a folder holds, but for the marker and the byte code that Python leaves beside modules."""
    found = []
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if Path(where, name).is_symlink()]
        for name in [*names, *links]:
            location = Path(where, name)
            path = location.relative_to(folder).as_posix()
            if path not in {MARKER, _PARTIAL_MARKER} and not _byte_code(location):
                found.append((path, location))
    return found


def _byte_code(location: Path) -> bool:
    return location.parent.name == "__pycache__" and location.suffix == ".pyc"


def _digest(location: Path) -> str:
    if location.is_symlink() or not location.is_file():
        return "not a file"
    return hashlib.sha256(location.read_bytes()).hexdigest()


def _own(folder: Path) -> dict[str, str | None]:
    try:
        files = json.loads((folder / MARKER).read_bytes())["files"]
        return {str(path): digest for path, digest in files.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}  # a marker that says nothing makes nothing ours


def _mark(folder: Path, files: Mapping[str, str | None]) -> None:
    partial = folder / _PARTIAL_MARKER
    _write(partial, (json.dumps({"files": files}, indent=1, sort_keys=True) + "\n").encode(), 0o644)
    partial.replace(folder / MARKER)


def _write(location: Path, content: bytes, mode: int) -> None:
    location.parent.mkdir(parents=True, exist_ok=True)
    location.write_bytes(content)
    location.chmod(mode)


def _remove_empty(folder: Path, gone: Iterable[str]) -> None:
    """Remove the folders of files that are gone, with the byte code of these files, where nothing else is left."""
    parents = {parent for path in gone for parent in Path(path).parents if parent != Path()}
    for parent in sorted(parents, key=lambda each: len(each.parts), reverse=True):
        here = folder / parent
        cache = here / "__pycache__"
        for compiled in cache.glob("*.pyc"):
            if not (here / f"{compiled.name.partition('.')[0]}.py").exists():
                compiled.unlink()
        for place in (cache, here):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
