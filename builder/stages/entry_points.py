"""Follows a wheel's entry points without running them: a script that leads nowhere shows only when somebody starts it."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import Final

from builder.archive import Archive
from builder.findings import Finding
from builder.problems import Complaint
from builder.syntax import parsed

Follow = Callable[[Mapping[str, bytes], str, tuple[str, str]], list[Complaint]]
"""Says why a console script cannot call its target: `stages.prove.examine_script`."""

_SCRIPTS: Final = frozenset({"console_scripts", "gui_scripts"})


def examine_entry_points(archive: Archive, *, module: str, script: str, follow: Follow) -> list[Finding]:
    """Return which entry points lead nowhere, and whether the console script `script` is missing."""
    path = f"{archive.dist_info}/entry_points.txt"
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        text = archive.files.get(path, b"").decode()
        parser.read_string(text)
    except UnicodeDecodeError:
        return [Finding(path, 0, "EntryPointBroken", "This file is not UTF-8.")]
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or 0
        message = f"This file cannot be read: {str(error).splitlines()[0]}"
        return [Finding(path, line, "EntryPointBroken", message)]
    found = []
    if not parser.has_option("console_scripts", script):
        found.append(
            Finding(path, 0, "EntryPointMissing", f"There is no console script {script} in this file.")
        )
    points = [EntryPoint(name, value, group) for group in parser for name, value in parser[group].items()]
    package = archive.package(module)
    for point in points:
        line = _line_of(text, point)
        found += [
            Finding(path, line, "EntryPointBroken", each) if isinstance(each, str) else each
            for each in _broken(package, module, point, follow)
        ]
    return sorted(set(found))


def _broken(
    package: Mapping[str, bytes], root: str, point: EntryPoint, follow: Follow
) -> Iterator[str | Finding]:
    """Yield what is wrong with one entry point: words about it, or a finding where it leads."""
    what = f"The entry point {point.name} of {point.group}"
    if EntryPoint.pattern.match(point.value) is None:
        yield f"{what} is {point.value!r}, which is not written as module:name."
        return
    head, _, below = point.module.partition(".")
    path = next((path for path in _places(below) if path in package), None) if head == root else None
    if path is None:
        yield f"{what} names the module {point.module}, which is not in the wheel."
    elif point.group in _SCRIPTS and "." not in (point.attr or "."):
        yield from (
            Finding.of(complaint, root, "EntryPointBroken")
            for complaint in follow(package, root, (below or "__init__", point.attr))
        )
    elif point.group in _SCRIPTS and not point.attr:
        yield f"{what} names no function. Write it as module:name."
    elif point.attr and not _binds(package[path], point.attr.partition(".")[0]):
        yield f"{what} names {point.attr}, which {root}/{path} does not define."


def _places(module: str) -> tuple[str, ...]:
    path = module.replace(".", "/")
    return (f"{path}/__init__.py", f"{path}.py") if path else ("__init__.py",)


def _binds(content: bytes, name: str) -> bool:
    """Tell whether a module defines a name, or may: by a star import or `__getattr__`."""
    tree = parsed(content)
    if tree is None:
        return True  # told by another rule
    return any(
        name in names or not names.isdisjoint({"*", "__getattr__"}) for names in map(_bound, ast.walk(tree))
    )


def _bound(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {node.name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name.partition(".")[0] for alias in aliases}
        case ast.Name(id=name, ctx=ast.Store()):
            return {name}
    return set()


def _line_of(text: str, point: EntryPoint) -> int:
    """Return the line of an entry point: the last of its name, behind the head of its group."""
    group, found = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith("["):
            group = line.strip().strip("[]")
        elif group == point.group and line.partition("=")[0].strip() == point.name:
            found = number
    return found
