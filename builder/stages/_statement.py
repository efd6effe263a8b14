"""Says what an import statement lacks to mean inside the package what it meant outside of it.

Every name is prefixed and bound as it was: `import a` binds `a`, `import a.b` binds `a` with `a.b` loaded, so no use
of a name has to change. `import P.a as a` is the exact counterpart of `import a` (one look-up, one binding, the same
when modules import each other in a circle), and one statement stays one statement, wherever it stands. All of that is
done by inserting, so spaces, comments and continuations need not even be read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from builder.stages._text import Insertion, Text

_UP_TO_MODULE: Final = re.compile(rb"from(?:[ \t\f]|\\(?:\r\n?|\n))*")


def inside_package(
    node: ast.Import | ast.ImportFrom, text: Text, module: str, first_party: frozenset[str]
) -> Iterator[Insertion]:
    """Return what to insert into an absolute import statement so that it reads as it must inside package `module`.

    `first_party` are the top-level names that have moved into the package.
    """
    prefix = f"{module}.".encode()
    if isinstance(node, ast.ImportFrom):
        before = _UP_TO_MODULE.match(text.utf8, text.span(node)[0])
        assert before is not None, "a statement starts where the parser says"  # noqa: S101 -- for the type checker
        yield Insertion(before.end(), prefix)
        return
    for alias in node.names:
        head, _, below = alias.name.partition(".")
        if head not in first_party:
            continue
        start, end = text.span(alias)
        yield Insertion(start, prefix)
        if alias.asname is None:
            # the submodule is loaded, then the name is given to what `import a.b` gives it to: the package
            again = f", {module}.{head} as {head}" if below else ""
            yield Insertion(end, f" as {head}{again}".encode())
