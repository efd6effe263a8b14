"""Which names a module gives itself, read without running it: enough to tell an import that can never succeed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_MAKES_NAMES_AT_RUN_TIME: Final = re.compile(
    rb"\b(?:globals|locals|vars|exec|eval|setattr|__dict__|__getattr__|__import__|sys\.modules)\b|:=|\bimport\s*\*"
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Bindings:
    """The names that a module binds; an `open` one may bind more, in ways that only running it would show."""

    names: frozenset[str]
    open: bool

    def may_have(self, name: str) -> bool:
        """Say whether the module can have this attribute once it is imported."""
        return self.open or name in self.names or (name.startswith("__") and name.endswith("__"))


def bindings(tree: ast.Module, utf8: bytes) -> Bindings:
    """Read what a module binds at its top level, in functions by `global` included."""
    names: set[str] = set()
    for statement in statements(tree):
        if isinstance(statement, ast.Global):
            names.update(statement.names)
    for statement in statements(tree, into_scopes=False):
        names.update(_bound(statement))
    return Bindings(frozenset(names), open=_MAKES_NAMES_AT_RUN_TIME.search(utf8) is not None)


def statements(tree: ast.AST, *, into_scopes: bool = True) -> Iterator[ast.AST]:
    """Go through all statements below a node (with `except` and `case` clauses), at any depth, without expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if node is not tree:
            yield node
            if not into_scopes and isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                continue
        for block in ("body", "orelse", "handlers", "cases", "finalbody"):
            waiting.extend(getattr(node, block, ()))


def _bound(statement: ast.AST) -> Iterator[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield statement.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
        case ast.ExceptHandler(name=str(name)):
            yield name
        case ast.match_case(pattern=pattern):
            for node in ast.walk(pattern):
                yield from filter(None, (getattr(node, "name", None), getattr(node, "rest", None)))
        case _:
            for target in _targets(statement):
                yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _targets(statement: ast.AST) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.AsyncFor():
            return [statement.target]
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return [item.optional_vars for item in items if item.optional_vars]
    return []
