"""Proves a package without running it, from its bytes alone: what it would fail at when imported, it fails at here.

It shares no code with the rewriter, so that a mistake there is found here: its own walk of the source folder, its own
reading of imports (from byte code, not from syntax), its own idea of what a module is.
"""

from __future__ import annotations

import ast
import configparser
import dis
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Final

from builder.problems import Complaint, Refused

_IMPORT_NAME: Final = dis.opmap["IMPORT_NAME"]
_MAIN: Final = ("main", "main_sync")


def prove_package(files: Mapping[str, bytes], source: Path, module: str) -> None:
    """Prove the files of a package (by path below it) against the source they were made from.

    Every Python file compiles; no import of a first-party module is left bare or leads nowhere, at any depth, in a
    function body or under TYPE_CHECKING as well; files are those of the source but for the declared exclusions, and
    those that are not Python are the same byte for byte; `main.main_sync` can be called.

    Raises:
        Refused: reason ProofFailed.
    """
    complaints = [*_file_set(files, source), *_data(files, source), *_code(files, module)]
    if complaints:
        raise Refused("ProofFailed", sorted(set(complaints)))


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
    complaints = [
        f"{wheel.name}: {module}/{path} is not what was put in. The build backend changed or dropped it."
        for path in sorted(held.keys() | proven.keys())
        if held.get(path) != proven.get(path)
    ]
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


def examine_code(files: Mapping[str, bytes], module: str) -> list[Complaint]:
    """Return what would fail in a package whose source is not at hand: what does not compile, what imports lead nowhere."""
    imports = _Imports(files, module)
    return sorted(
        {complaint for path in files if path.endswith((".py", ".pyi")) for complaint in imports.check(path)}
    )


def examine_script(files: Mapping[str, bytes], module: str, target: tuple[str, str]) -> list[Complaint]:
    """Return why a console script cannot call its target (module below the package, function); empty when it can."""
    return list(_console_script(files, module, target))


def _code(files: Mapping[str, bytes], module: str) -> Iterator[Complaint]:
    yield from _console_script(files, module)
    yield from examine_code(files, module)


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
        if not path.endswith((".py", ".pyi")) and original.is_file() and original.read_bytes() != content:
            yield Complaint(path, 0, "This file differs from the source, and is no Python.")


def prove_console_script(files: Mapping[str, bytes], module: str) -> None:
    """Prove that `main.main_sync` can be called; for sources that come no further, to tell all that is wrong at once.

    Raises:
        Refused: reason ProofFailed.
    """
    complaints = [*_console_script(files, module)]
    if complaints:
        raise Refused("ProofFailed", complaints)


def _console_script(
    files: Mapping[str, bytes], package: str, target: tuple[str, str] = _MAIN
) -> Iterator[Complaint]:
    """Follow a module's name, as a rule `main.main_sync`, to a function that can be called without arguments."""
    (module, name), seen = target, set[str]()
    while True:
        path = next((path for path in _places(module) if path in files), None)
        if path is None:
            yield Complaint(
                "main.py", 0, f"The console script needs {module}.{name}, and there is no module {module!r}."
            )
            return
        seen.add(module)
        found = _defined(files[path], name)
        if isinstance(found, ast.ImportFrom) and not found.level and found.module:
            module = found.module.removeprefix(package + ".")
            name = next(alias.name for alias in found.names if name in {alias.asname, alias.name})
            if module and module not in seen:
                continue
        yield from _callable(path, name, found)
        return


def _callable(path: str, name: str, found: ast.stmt | None) -> Iterator[Complaint]:
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        line = found.lineno if found else 1
        yield Complaint(path, line, f"The console script needs a function {name!r} here. Define it with def.")
    elif isinstance(found, ast.AsyncFunctionDef):
        yield Complaint(
            path, found.lineno, f"The console script cannot await {name!r}. Define it without async."
        )
    elif (
        len(found.args.posonlyargs + found.args.args) > len(found.args.defaults)
        or None in found.args.kw_defaults
    ):
        yield Complaint(
            path, found.lineno, f"The console script calls {name!r} without arguments. Give them defaults."
        )


def _defined(content: bytes, name: str) -> ast.stmt | None:
    """Return the last statement at the top level of a module that binds `name`."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return None
    found: ast.stmt | None = None
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if statement.name == name:
                found = statement
            case ast.ImportFrom(names=aliases) if any(name == (each.asname or each.name) for each in aliases):
                found = statement
            case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                found = statement
    return found


def _places(module: str) -> tuple[str, str]:
    path = module.replace(".", "/")
    return f"{path}/__init__.py", f"{path}.py"


class _Imports:
    """What the imports of a package may name: bare, nothing of its own; with its name, what it has."""

    def __init__(self, files: Mapping[str, bytes], module: str) -> None:
        self._files = files
        self._module = module
        self._folders = {""}
        self._own: set[str] = set()
        for path in files:
            *folders, name = path.split("/")
            if name.endswith(".py") and all(folder.isidentifier() for folder in folders):
                self._folders.update("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
                self._own.add(folders[0] if folders else name.removesuffix(".py"))
        # a folder without __init__.py comes after the standard library on the path of the bare source
        self._own -= {
            name
            for name in self._own & sys.stdlib_module_names
            if not self._files.keys() & set(_places(name))
        }

    def check(self, path: str) -> Iterator[Complaint]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(self._files[path], path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            message = f"Python cannot compile this file: {getattr(error, 'msg', error)}."
            yield Complaint(path, line, message, "DoesNotCompile")
            return
        for line, level, name in _imports(code):
            if level:
                yield from self._relative(path, line, level, name)
            else:
                yield from self._absolute(path, line, name)

    def _relative(self, path: str, line: int, level: int, name: str) -> Iterator[Complaint]:
        folder = path.split("/")[:-1]
        if not all(part.isidentifier() for part in folder):
            return  # a script among data: it is in no package, and its imports are its loader's concern
        if level - 1 > len(folder):
            yield Complaint(path, line, "This relative import leads out of the package.")
            return
        target = [*folder[: len(folder) - (level - 1)], *(name.split(".") if name else [])]
        if not self._exists(target):
            yield Complaint(path, line, f"There is no module {'.'.join(target)!r} in the package.")

    def _absolute(self, path: str, line: int, name: str) -> Iterator[Complaint]:
        head, *rest = name.split(".")
        if head in self._own:
            yield Complaint(
                path, line, f"The import of {name!r} still names a module of the package without the package."
            )
        elif head == self._module and not self._exists(rest):
            yield Complaint(path, line, f"There is no module {'.'.join(rest)!r} in the package.")

    def _exists(self, parts: list[str]) -> bool:
        place = "/".join(parts)
        return place in self._folders or f"{place}.py" in self._files


def _imports(code: CodeType) -> Iterator[tuple[int, int, str]]:
    """Find what compiled code imports, in functions and classes too: line, level (0 is absolute), name.

    Byte code is what runs, and reading it costs a fraction of making a syntax tree. What Python drops as unreachable
    cannot fail, and is not seen.
    """
    waiting = [code]
    while waiting:
        here = waiting.pop()
        waiting.extend(each for each in here.co_consts if isinstance(each, CodeType))
        if _IMPORT_NAME not in here.co_code[::2]:
            continue
        steps = [step for step in dis.get_instructions(here) if step.opname not in {"EXTENDED_ARG", "CACHE"}]
        for number, step in enumerate(steps):
            if step.opcode == _IMPORT_NAME:
                # pushed before the name: the level, then what is taken from the module
                line = step.positions.lineno if step.positions else None
                yield line or 1, steps[number - 2].argval, step.argval
