"""Proves that a file of the package does what its source did: nothing differs but what its imports must say now.

Most files are proven by their bytes: between import statements they are those of the source, and a statement in the
place of another leaves the tree around it as it was. Where module names in strings have changed too, the two trees are
compared node by node. Either way each import must load and bind what its counterpart in the source did.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from builder.stages._proof_imports import Compiled, Import, as_utf8, import_alone

_WITH_CERTAIN_STRINGS = (
    *(ast.Call, ast.keyword, ast.Subscript, ast.Compare, ast.List, ast.Tuple, ast.Dict),
    *(ast.JoinedStr, ast.BinOp, ast.Attribute),
)
"""Expressions that can make a string certain to name a module; one that stands alone never is."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move into package `module` of a source whose top-level names are `own`."""

    module: str
    own: frozenset[str]

    def difference(self, source: bytes, moved: Compiled) -> tuple[int, str] | None:
        """Return line and kind of the first thing in which a moved file differs from its source beyond the move."""
        before = as_utf8(source)
        if before == moved.utf8 or self._same_between_imports(before, moved):
            return None
        try:
            self._compare(_tree(before), _tree(moved.utf8), certain=False)
        except _Different as difference:
            return difference.line, difference.message
        return None

    def _same_between_imports(self, before: bytes, moved: Compiled) -> bool:
        """Say whether the source is the moved file with import statements in the places of import statements."""
        if not moved.imports:
            return False
        at = done = 0
        ends = [statement.start for statement in moved.imports[1:]] + [len(moved.utf8)]
        for statement, end in zip(moved.imports, ends, strict=True):
            if not before.startswith(moved.utf8[done : statement.start], at):
                return False
            at += statement.start - done
            done = statement.end
            after = self._end_of_counterpart(before, at, statement.node, moved.utf8[done:end])
            if after is None:
                return False
            at = after
        return before[at:] == moved.utf8[done:]

    def _end_of_counterpart(self, before: bytes, at: int, node: Import, then: bytes) -> int | None:
        """Return where the source's import ends that starts at `at`, stands for `node`, and is followed by `then`."""
        end = at
        while True:
            end = before.find(then, end + 1) if then else len(before)
            if end == -1:
                return None
            counterpart = import_alone(before[at:end])
            if counterpart is not None:
                return end if self.stands_for(node, counterpart) else None
            if not then:
                return None

    def _compare(self, before: ast.AST, after: ast.AST, *, certain: bool) -> None:
        if isinstance(before, Import) and isinstance(after, Import):
            if not self.stands_for(after, before):
                raise _Different(after, "This import does not load and bind what it does in the source.")
            return
        if type(before) is not type(after):
            raise _Different(after)
        if isinstance(before, ast.Constant) and isinstance(after, ast.Constant):
            self._compare_constants(before, after, certain=certain)
            return
        if isinstance(before, ast.Call) and isinstance(after, ast.Call):
            _drop_leaf_request(before, after)
        certain = isinstance(after, _WITH_CERTAIN_STRINGS)
        for below, counterpart in _below(before, after):
            if isinstance(below, ast.AST) and isinstance(counterpart, ast.AST):
                self._compare(below, counterpart, certain=certain)
            elif below != counterpart:
                raise _Different(after)

    def _compare_constants(self, before: ast.Constant, after: ast.Constant, *, certain: bool) -> None:
        if repr(before.value) == repr(after.value) and before.kind == after.kind:  # 1, 1.0 and True are equal
            return
        text = before.value
        if not (
            certain
            and isinstance(text, str)
            and after.value == f"{self.module}.{text}"
            and text.partition(":")[0].partition(".")[0].partition("%")[0].partition("{")[0] in self.own
        ):
            raise _Different(after)

    def stands_for(self, after: Import, before: Import) -> bool:
        """Say whether an import does in the package what another one did in the source."""
        if isinstance(before, ast.ImportFrom) or isinstance(after, ast.ImportFrom):
            if type(before) is not type(after):
                return False
            assert isinstance(before, ast.ImportFrom)  # noqa: S101 -- for the type checker
            assert isinstance(after, ast.ImportFrom)  # noqa: S101 -- for the type checker
            name = before.module if before.level else self._moved(before.module or "")
            taken = [[(alias.name, alias.asname) for alias in node.names] for node in (before, after)]
            return (after.level, after.module) == (before.level, name) and taken[0] == taken[1]
        return _effect(list(self._steps(before))) == _effect(
            [(alias.name, *_binding(alias)) for alias in after.names]
        )

    def _steps(self, node: ast.Import) -> Iterator[tuple[str, str, str]]:
        for alias in node.names:
            name, value = _binding(alias)
            yield self._moved(alias.name), name, self._moved(value)

    def _moved(self, name: str) -> str:
        return f"{self.module}.{name}" if name.partition(".")[0] in self.own else name


def _below(before: ast.AST, after: ast.AST) -> Iterator[tuple[object, object]]:
    """Pair what two nodes of one kind hold."""
    for name in after._fields:
        one, other = getattr(before, name, None), getattr(after, name, None)
        ones = one if isinstance(one, list) else [one]
        others = other if isinstance(other, list) else [other]
        if len(ones) != len(others):
            raise _Different(after)
        yield from zip(ones, others, strict=True)


def _binding(alias: ast.alias) -> tuple[str, str]:
    """Return the name that `import` gives, and the module that it gives it to."""
    head = alias.name.partition(".")[0]
    return (alias.asname, alias.name) if alias.asname else (head, head)


def _effect(steps: list[tuple[str, str, str]]) -> tuple[list[str], dict[str, str]]:
    """Return what is loaded, in order and with its packages, and what each name is bound to in the end."""
    loaded: dict[str, None] = {}
    for module, _, _ in steps:
        parts = module.split(".")
        loaded.update(dict.fromkeys(".".join(parts[:count]) for count in range(1, len(parts) + 1)))
    return list(loaded), {name: value for _, name, value in steps}


def _drop_leaf_request(before: ast.Call, after: ast.Call) -> None:
    """`__import__("a")` became `__import__("P.a", fromlist=("__name__",))`, which returns the same module."""
    if len(after.keywords) == len(before.keywords) + 1:
        added = after.keywords[-1]
        named = ast.unparse(after.func).rpartition(".")[2]
        if named == "__import__" and ast.unparse(added) == "fromlist=('__name__',)":
            after.keywords.pop()


def _tree(utf8: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(utf8.decode())


class _Different(Exception):  # noqa: N818 -- the state of the trees
    """Two trees differ at a node, whose line this has."""

    def __init__(self, node: ast.AST, message: str = "") -> None:
        super().__init__(message)
        self.line: int = getattr(node, "lineno", 1)
        self.message = message or "This differs from the source in more than what its imports must say."
