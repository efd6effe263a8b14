"""What expressions of a file can be seen to mean without running it: strings, and names that imports alone bind."""

from __future__ import annotations

import ast
import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_WITHOUT_STRINGS: Final = frozenset({
    "annotation", "arg", "asname", "attr", "bound", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level",
    "module", "names", "op", "ops", "rest", "returns", "simple", "type_comment", "type_ignores", "type_params",
})  # fmt: skip
"""Fields of syntax nodes, by name."""
_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {}


@dataclass(frozen=True, slots=True)
class Literal:
    """The beginning of a string expression that is written out; `whole` when nothing follows it."""

    node: ast.expr
    text: str
    whole: bool

    @property
    def head(self) -> str | None:
        """The first name, None when what follows could still lengthen it."""
        head = re.split(r"[.:]", self.text, maxsplit=1)[0]
        return head if self.whole or head != self.text else None


def argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    """Return an argument of a call, wherever it stands; None when it is not written out."""
    if len(call.args) > position:
        return call.args[position]
    return next((each.value for each in call.keywords if each.arg == keyword), None)


def written_out(expression: ast.expr) -> Literal | None:
    """Return how a string expression begins, when that is written out."""
    match expression:
        case ast.Constant(value=str(text)):
            return Literal(expression, text, whole=True)
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *rest]):
            return Literal(expression, text, whole=not rest)
        case ast.BinOp(left=left, op=ast.Add()):
            begin = written_out(left)
            return begin and Literal(begin.node, begin.text, whole=False)
        case ast.BinOp(left=ast.Constant(value=str(text)) as left, op=ast.Mod()):
            return Literal(left, text.partition("%")[0], whole=False)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)) as pattern, attr="format")):
            return Literal(pattern, text.partition("{")[0], whole=False)
    return None


def known_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return what the names of a file mean that are bound by imports of one meaning and nothing else."""
    meanings: dict[str, set[str]] = {"__import__": {"__import__"}}
    others: Counter[str] = Counter()
    for node in nodes:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    head = alias.name.partition(".")[0]
                    meanings.setdefault(alias.asname or head, set()).add(alias.name if alias.asname else head)
            case ast.ImportFrom(names=names, module=str(module), level=0):
                for alias in names:
                    meanings.setdefault(alias.asname or alias.name, set()).add(f"{module}.{alias.name}")
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                others[name] += 1
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                others[name] += 1
    meanings = {name: meant for name, meant in meanings.items() if len(meant) == 1 and name not in others}
    return {name: next(iter(meant)) for name, meant in meanings.items()}


def worth_walking(tree: ast.Module, lines: Sequence[int] | None = None) -> Iterator[ast.AST]:
    """Go through a tree without docstrings and other strings that stand alone, and without annotations.

    Given `lines` (ascending, from 1), leave out statements that stand on none of them.
    """
    waiting: list[ast.AST | None] = [tree]
    while waiting:
        node = waiting.pop()
        if node is None:  # a dictionary's `**`, a keyword without default
            continue
        if lines is not None and isinstance(node, ast.stmt) and not _stands_on(node, lines):
            continue
        yield node
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        for name in _fields(type(node)):
            value = getattr(node, name)
            if isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, ast.AST):
                waiting.append(value)


def _stands_on(statement: ast.stmt, lines: Sequence[int]) -> bool:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    first = decorators[0].lineno if decorators else statement.lineno
    place = bisect.bisect_left(lines, first)
    return place < len(lines) and lines[place] <= (statement.end_lineno or first)


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a kind of node in which there can be a string."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(name for name in kind._fields if name not in _WITHOUT_STRINGS)
    return _FIELDS[kind]
