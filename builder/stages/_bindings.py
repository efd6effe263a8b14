"""Which names a module gives itself, read without running it: enough to tell an import that can never succeed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

_MAKES_NAMES_AT_RUN_TIME: Final = re.compile(
    rb"\b(?:globals|locals|vars|exec|eval|setattr|__dict__|__getattr__|__import__|sys\.modules|global_enum)\b|:="
)
_STAR: Final = re.compile(rb"import\s*\*")
_NAME_MAKERS: Final = (
    *(
        b"globals",
        b"locals",
        b"vars",
        b"exec",
        b"eval",
        b"setattr",
        b"__dict__",
        b"__getattr__",
        b"__import__",
    ),
    *(b"sys.modules", b"global_enum", b":="),
)
"""One of these stands wherever that pattern matches; asking for them takes a tenth of its time."""
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPOUND: Final = (
    *_SCOPES,
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith),
    *(ast.Try, ast.TryStar, ast.ExceptHandler, ast.Match, ast.match_case),
)


class Statement(NamedTuple):
    """One statement; `at_top` when the names it binds are the module's."""

    node: ast.AST
    at_top: bool


@dataclass(frozen=True, slots=True)
class Bindings:
    """The names that a module binds; an `open` one may bind more, in ways that only running it would show."""

    names: frozenset[str]
    open: bool

    def may_have(self, name: str) -> bool:
        """Say whether the module can have this attribute once it is imported."""
        return self.open or name in self.names or (name.startswith("__") and name.endswith("__"))


def bindings(found: Iterable[Statement], utf8: bytes) -> Bindings:
    """Read what a module's statements bind at its top level, in functions by `global` included."""
    names: set[str] = set()
    for statement in found:
        if isinstance(statement.node, ast.Global):
            names.update(statement.node.names)
        elif statement.at_top:
            names.update(_bound(statement.node))
    return Bindings(frozenset(names), open=_makes_names_at_run_time(utf8))


def _makes_names_at_run_time(utf8: bytes) -> bool:
    likely = any(word in utf8 for word in _NAME_MAKERS)
    found = (likely and _MAKES_NAMES_AT_RUN_TIME.search(utf8)) or _STAR.search(utf8)
    return found is not None


def statements(tree: ast.Module) -> Iterator[Statement]:
    """Go through all statements of a module (with `except` and `case` clauses), at any depth, without expressions."""
    waiting: list[tuple[ast.AST, bool]] = [(node, True) for node in tree.body]
    while waiting:
        node, at_top = waiting.pop()
        yield Statement(node, at_top)
        if isinstance(node, _COMPOUND):
            inside = at_top and not isinstance(node, _SCOPES)
            for block in ("body", "orelse", "handlers", "cases", "finalbody"):
                waiting.extend((below, inside) for below in getattr(node, block, ()))


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
