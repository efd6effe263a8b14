"""Finds imports whose distribution the wheel does not declare: it works until the one that happened to bring it drops it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from builder.archive import Archive
from builder.findings import Finding
from builder.syntax import parsed

_CATCHES_IMPORT_ERROR: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_OF_THIS_PLATFORM: Final = frozenset({"version_info", "platform", "implementation", "name", "hexversion"})
"""Attributes of `sys` and `os` that a module asks before an import that only some interpreters need."""


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One import of something that is neither the package's own nor of the standard library.

    `module` is what it names; `name` goes down to what it takes from there, which may be a module too. `optional` says
    that the package goes on without it: under TYPE_CHECKING, guarded by `except ImportError`, or for some interpreters
    only.
    """

    path: str
    line: int
    module: str
    name: str
    optional: bool


def third_party_imports(archive: Archive, module: str) -> list[Import]:
    """Return the absolute imports in a package's files, at every depth, that lead out of it."""
    own = {module, "__future__", *sys.stdlib_module_names}
    found: set[Import] = set()
    for path, content in archive.package(module).items():
        tree = parsed(content) if path.endswith(".py") else None
        if tree is not None:
            found.update(
                each
                for each in _imports(f"{module}/{path}", tree.body, optional=False)
                if each.module.partition(".")[0] not in own
            )
    return sorted(found)


def undeclared(
    imports: Sequence[Import], requires: Sequence[str], providers: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return the imports that no declared distribution provides.

    `requires` are the wheel's requirements, `providers` says for each `Import.name` which distributions of the clean
    environment provide it.
    """
    declared = {canonicalize_name(Requirement(each).name) for each in requires}
    findings = set()
    for each in imports:
        found = {canonicalize_name(owner) for owner in providers.get(each.name, ())}
        top = each.module.partition(".")[0]
        # NOTE: a requirement of an extra is not installed here; only its name can tell what it provides
        if found & declared or (not found and canonicalize_name(top) in declared):
            continue
        if each.optional:
            message = (
                f"{each.module!r} is imported where it is there, and no declared distribution provides it."
            )
            findings.add(Finding(each.path, each.line, "OptionalImport", message))
        else:
            message = _message(each.module, sorted(found))
            findings.add(Finding(each.path, each.line, "UndeclaredImport", message))
    return sorted(findings)


def _message(name: str, owners: Sequence[str]) -> str:
    if not owners:
        return f"{name!r} is imported, and nothing that the wheel's dependencies install provides it."
    return f"{name!r} is imported and comes with {', '.join(owners)}, which the wheel does not declare."


def _imports(path: str, body: Sequence[ast.AST], *, optional: bool) -> Iterator[Import]:
    for node in body:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield Import(path, node.lineno, alias.name, alias.name, optional)
            case ast.ImportFrom(module=str(source), names=aliases, level=0):
                for alias in aliases:
                    yield Import(path, node.lineno, source, f"{source}.{alias.name}", optional)
            case ast.Try() | ast.TryStar():
                guarded = optional or any(map(_catches, node.handlers))
                yield from _imports(path, [*node.body, *node.handlers], optional=guarded)
                yield from _imports(path, [*node.orelse, *node.finalbody], optional=optional)
            case ast.If() if (runs := _runs_unchecked(node)) is not None:
                unseen = node.orelse if runs is node.body else node.body
                yield from _imports(path, runs, optional=optional)
                yield from _imports(path, unseen, optional=True)
            case ast.If() if _for_some_only(node.test):
                yield from _imports(path, [*node.body, *node.orelse], optional=True)
            case _:
                yield from _imports(path, list(ast.iter_child_nodes(node)), optional=optional)


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CATCHES_IMPORT_ERROR for kind in kinds)


def _runs_unchecked(node: ast.If) -> list[ast.stmt] | None:
    """Return the branch that runs where nothing checks types; None when the condition does not ask for that."""
    match node.test:
        case ast.UnaryOp(
            op=ast.Not(), operand=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")
        ):
            return node.body
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return node.orelse
    return None


def _for_some_only(test: ast.expr) -> bool:
    """Tell whether a condition asks for the interpreter or platform, or also for a type checker."""
    for node in ast.walk(test):
        match node:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return True
            case ast.Attribute(value=ast.Name(id="sys" | "os"), attr=attribute) if (
                attribute in _OF_THIS_PLATFORM
            ):
                return True
    return False
