"""Follows the console script to what it calls, without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from builder.problems import Complaint

MAIN: Final = ("main", "main_sync")
"""What the console script of a built package calls: module below the package, function."""


def console_script(
    files: Mapping[str, bytes], package: str, target: tuple[str, str] = MAIN
) -> Iterator[Complaint]:
    """Follow a module's name, as a rule `main.main_sync`, to a function that can be called without arguments."""
    (module, name), seen = target, set[str]()
    while True:
        path = next((path for path in places(module) if path in files), None)
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


def places(module: str) -> tuple[str, str]:
    """Return where the file of a module can be, the place that Python prefers first."""
    path = module.replace(".", "/")
    return f"{path}/__init__.py", f"{path}.py"


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
