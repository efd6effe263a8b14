"""Proves a package without running it, from its bytes alone: what it would fail at when imported, it fails at here.

It shares no code with the rewriter, so that a mistake there is found here: its own walk of the source folder, its own
reading of imports (from byte code, not from syntax), its own idea of what a module is and of what a file may differ in.
"""

from __future__ import annotations

import configparser
import os
import tarfile
import zipfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Final

from builder.contract import OLDEST_PYTHON, REQUIRES_PYTHON
from builder.problems import Complaint, Refused
from builder.stages._proof_imports import Compiled, ImportCheck
from builder.stages._proof_pythons import HERE, other_pythons
from builder.stages._proof_same import Move
from builder.stages._proof_script import console_script

_PYTHON: Final = (".py", ".pyi")


def prove_package(files: Mapping[str, bytes], source: Path, module: str) -> tuple[str, ...]:
    """Prove the files of a package (by path below it) against the source they were made from.

    Every Python file compiles, with every Python on this machine that `requires-python` includes; no import of a
    first-party module is left bare or leads nowhere, at any depth, in a function body or under TYPE_CHECKING as well;
    each file says what its source says but for its imports, which load and bind the same, and for module names in
    strings; files are those of the source but for the declared exclusions, and those that are not Python are the same
    byte for byte; `main.main_sync` can be called.

    Returns:
        The versions of Python it was proven with, oldest first: the oldest that the metadata promise is among them.

    Raises:
        Refused: reason ProofFailed; reason PythonMissing, the oldest Python that is promised is not here.
        TryAgain: reason DiskFull.
    """
    python = {path: content for path, content in files.items() if path.endswith(_PYTHON)}
    with other_pythons(python, REQUIRES_PYTHON) as others:
        imports, complaints = _imports(files, python, module)
        complaints += [*console_script(files, module), *_file_set(files, source), *_data(files, source)]
        complaints += _same(imports, source, module, {complaint.path for complaint in complaints})
        elsewhere = dict(others.ended())
    wrong = {complaint.path for complaint in complaints}
    complaints += [each for told in elsewhere.values() for each in told if each.path not in wrong]
    if complaints:
        raise Refused("ProofFailed", sorted(set(complaints)))
    proven = tuple(sorted((HERE, *elsewhere), key=lambda version: int(version.partition(".")[2])))
    if OLDEST_PYTHON not in proven:
        raise Refused(
            "PythonMissing",
            [
                f"The metadata promise Python {REQUIRES_PYTHON}, and there is no Python {OLDEST_PYTHON} here to prove it with. Install one where PATH, pyenv or uv has it."
            ],
        )
    return proven


def prove_wheel(wheel: Path, proven: Mapping[str, bytes], *, module: str, script: tuple[str, str]) -> None:
    """Prove that a wheel holds the proven files and nothing else beside its metadata, and the console script.

    `script` is its name and the target it must have.

    Raises:
        Refused: reason ProofFailed.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        held = {
            name.removeprefix(module + "/"): archive.read(name)
            for name in names
            if name.startswith(module + "/")
        }
        beside = {name.partition("/")[0] for name in names} - {module}
        points = next(
            (archive.read(name).decode() for name in names if name.endswith("/entry_points.txt")), ""
        )
    complaints = [f"{wheel.name}: {module}/{told}" for told in _changed(held, proven)]
    if len(names) != len(set(names)):
        complaints.append(f"{wheel.name}: holds a file twice.")
    if len(beside) != 1 or not next(iter(beside)).endswith(".dist-info"):
        complaints.append(
            f"{wheel.name}: holds more than the package and its metadata: {', '.join(sorted(beside))}."
        )
    parsed = configparser.ConfigParser(delimiters=("=",))
    parsed.read_string(points)
    if parsed.get("console_scripts", script[0], fallback=None) != script[1]:
        complaints.append(f"{wheel.name}: its console script {script[0]} does not call {script[1]}.")
    if complaints:
        raise Refused("ProofFailed", complaints)


def prove_sdist(sdist: Path, tree: Mapping[str, bytes]) -> None:
    """Prove that an sdist holds the files of the build tree and nothing else beside its metadata.

    Raises:
        Refused: reason ProofFailed.
    """
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        held = {member.name: _content(archive, member) for member in members if not member.isdir()}
    top = sdist.name.removesuffix(".tar.gz") + "/"
    expected = {top + path: content for path, content in tree.items()}
    metadata = held.pop(f"{top}PKG-INFO", None)
    complaints = [f"{sdist.name}: {told}" for told in _changed(held, expected)]
    if metadata is None:
        complaints.append(f"{sdist.name}: holds no metadata, {top}PKG-INFO.")
    if len(members) != len({member.name for member in members}):
        complaints.append(f"{sdist.name}: holds a file twice.")
    if complaints:
        raise Refused("ProofFailed", complaints)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Return a file's bytes, None for anything else: a link holds none of its own, whatever it leads to."""
    file = archive.extractfile(member) if member.isfile() else None
    return file.read() if file else None


def _changed(held: Mapping[str, bytes | None], given: Mapping[str, bytes]) -> Iterator[str]:
    for path in sorted(held.keys() | given.keys()):
        if path not in given:
            yield f"{path} was not put in. The build backend added it."
        elif held.get(path) != given[path]:
            yield f"{path} is not what was put in. The build backend changed or dropped it."


def examine_code(files: Mapping[str, bytes], module: str, requires_python: str) -> list[Complaint]:
    """Return what would fail in a package whose source is not at hand: what does not compile, what imports lead nowhere.

    It is compiled by this Python and by every other one on the machine that `requires_python` (PEP 440) includes.

    Raises:
        TryAgain: reason DiskFull.
    """
    python = {path: content for path, content in files.items() if path.endswith(_PYTHON)}
    with other_pythons(python, requires_python) as others:
        complaints = _imports(files, python, module)[1]
        elsewhere = [complaint for _, told in others.ended() for complaint in told]
    broken = {each.path for each in complaints if each.rule}
    return sorted({*complaints, *(each for each in elsewhere if each.path not in broken)})


def examine_script(files: Mapping[str, bytes], module: str, target: tuple[str, str]) -> list[Complaint]:
    """Return why a console script cannot call its target (module below the package, function); empty when it can."""
    return list(console_script(files, module, target))


def _imports(
    files: Mapping[str, bytes], python: Mapping[str, bytes], module: str
) -> tuple[ImportCheck, list[Complaint]]:
    """Compile the Python files of a package and check what they import."""
    read = {path: Compiled.of(content, path) for path, content in python.items()}
    imports = ImportCheck(
        files, {path: each for path, each in read.items() if isinstance(each, Compiled)}, module
    )
    broken = (each for each in read.values() if isinstance(each, Complaint))
    return imports, [*broken, *imports.complaints()]


def _same(imports: ImportCheck, source: Path, module: str, wrong: Container[str]) -> Iterator[Complaint]:
    """Compare with their sources the files that are not known to be wrong already."""
    move = Move(module, frozenset(imports.own))
    for path, compiled in imports.compiled.items():
        original = source / path
        if path not in wrong and original.is_file():
            difference = move.difference(original.read_bytes(), compiled)
            if difference:
                yield Complaint(path, *difference)


def _file_set(files: Mapping[str, bytes], source: Path) -> Iterator[Complaint]:
    expected = {path for path in _walk(source) if not _excluded(path)} | {"__init__.py"}
    for path in sorted(expected - files.keys()):
        yield Complaint(path, 0, "This file of the source is missing from the package.")
    for path in sorted(files.keys() - expected):
        yield Complaint(path, 0, "This file of the package is not in the source.")


def _walk(folder: Path) -> Iterator[str]:
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for name in names:
            if name[0] != "." and not name.endswith(".pyc"):
                yield Path(where, name).relative_to(folder).as_posix()


def _excluded(path: str) -> bool:
    if "/" in path:
        return path.startswith("tests/")
    return path in {"Dockerfile", "pytest.ini", "requirements.txt", "conftest.py"} or path.endswith(".sh")


def _data(files: Mapping[str, bytes], source: Path) -> Iterator[Complaint]:
    for path, content in files.items():
        original = source / path
        if not path.endswith(_PYTHON) and original.is_file() and original.read_bytes() != content:
            yield Complaint(path, 0, "This file differs from the source, and is no Python.")


def prove_console_script(files: Mapping[str, bytes], module: str) -> None:
    """Prove that `main.main_sync` can be called; for sources that come no further, to tell all that is wrong at once.

    Raises:
        Refused: reason ProofFailed.
    """
    complaints = [*console_script(files, module)]
    if complaints:
        raise Refused("ProofFailed", complaints)
