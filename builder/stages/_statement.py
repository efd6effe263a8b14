"""Writes one import statement as it must read inside the package; the only user of LibCST, and slow to import.

Every name is prefixed and bound as it was: `import a` binds `a`, `import a.b` binds `a` with `a.b` loaded, so no use
of a name has to change. `import P.a as a` is the exact counterpart of `import a` (one look-up, one binding, the same
when modules import each other in a circle), and one statement stays one statement, wherever it stands.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

import libcst as cst

_LINE_END: Final = re.compile(r"\r\n?|\n")


def inside_package(statement: str, module: str, first_party: frozenset[str]) -> str:
    """Return an import statement as it must read inside package `module`, with its spaces, comments and line ends.

    `first_party` are the top-level names that have moved into the package.
    """
    line_ends = _LINE_END.findall(statement) if "\r" in statement else []
    if not line_ends:
        return _rewritten(statement, module, first_party)
    # NOTE: LibCST turns a lone CR into LF; so it gets LF alone, and each line end comes back as it was
    ends = iter(line_ends)
    return re.sub(
        r"\n", lambda _: next(ends), _rewritten(_LINE_END.sub("\n", statement), module, first_party)
    )


@functools.lru_cache(maxsize=4096)
def _rewritten(statement: str, module: str, first_party: frozenset[str]) -> str:
    line = cst.ensure_type(cst.parse_statement(statement), cst.SimpleStatementLine)
    node = line.body[0]
    if isinstance(node, cst.ImportFrom):
        assert node.module is not None, "a relative import stays as it is"  # noqa: S101 -- for the type checker
        changed: cst.CSTNode = node.with_changes(module=_prefixed(node.module, module))
    else:
        imported = cst.ensure_type(node, cst.Import)
        names = [new for alias in imported.names for new in _bound_as_before(alias, module, first_party)]
        changed = imported.with_changes(names=names)
    return cst.Module([]).code_for_node(changed)


def _bound_as_before(
    alias: cst.ImportAlias, module: str, first_party: frozenset[str]
) -> Iterator[cst.ImportAlias]:
    head = _head(alias.name)
    if head.value not in first_party:
        yield alias
        return
    name = _prefixed(alias.name, module)
    if alias.asname is not None:
        yield alias.with_changes(name=name)
        return
    as_head = cst.AsName(name=cst.Name(head.value))
    if alias.name is head:
        yield alias.with_changes(name=name, asname=as_head)
        return
    # the submodule is loaded, then the name is given to what `import a.b` gives it to: the package
    yield cst.ImportAlias(
        name=name, asname=as_head, comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    )
    yield alias.with_changes(name=_prefixed(head, module), asname=as_head)


def _prefixed(name: cst.BaseExpression, module: str) -> cst.Attribute:
    if isinstance(name, cst.Attribute):
        return name.with_changes(value=_prefixed(name.value, module))
    return cst.Attribute(value=cst.Name(module), attr=cst.ensure_type(name, cst.Name))


def _head(name: cst.BaseExpression) -> cst.Name:
    while isinstance(name, cst.Attribute):
        name = name.value
    return cst.ensure_type(name, cst.Name)
