"""Import statements: where they are, which modules of the source they name, and whether those exist."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from builder.stages._bindings import Statement
from builder.stages._modules import Kind, ModuleIndex


@dataclass(frozen=True, slots=True)
class Reference:
    """One module that an import statement names, absolute as seen from the source folder.

    `names` are what it takes from that module, empty for `import module`; `bare` tells that the statement must change.
    """

    line: int
    module: str
    names: tuple[str, ...]
    bare: bool


@dataclass(frozen=True, slots=True)
class ImportStatement:
    """One import statement with its first-party references; `bare` tells that it must change."""

    node: ast.Import | ast.ImportFrom
    references: tuple[Reference, ...]

    @property
    def bare(self) -> bool:
        """Whether this statement names a module of the source as if the source were on the path."""
        return any(reference.bare for reference in self.references)


class BeyondTop(Exception):  # noqa: N818 -- the state of the import
    """A relative import that leads out of the package; `line` counts from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class ImportReader:
    """Finds the first-party imports of one file.

    `package` is the dotted name (in the source) of the package that the file lies in, None for a file that is in none:
    what a relative import means there only its loader knows.
    """

    def __init__(self, index: ModuleIndex, module: str, package: str | None) -> None:
        self._first_party = index.top_level | index.kept_back
        self._module = module
        self._package = package

    def read(self, found: Iterable[Statement]) -> Iterator[ImportStatement]:
        """Pick the import statements that name first-party modules.

        Raises:
            BeyondTop: a relative import leads out of the package.
        """
        for node, _ in found:
            if isinstance(node, ast.Import):
                references = tuple(self._of_import(node))
            elif isinstance(node, ast.ImportFrom):
                references = tuple(self._of_from(node))
            else:
                continue
            if references:
                yield ImportStatement(node, references)

    def _of_import(self, node: ast.Import) -> Iterator[Reference]:
        for alias in node.names:
            head, _, rest = alias.name.partition(".")
            if head in self._first_party:
                yield Reference(alias.lineno, alias.name, (), bare=True)
            elif head == self._module:
                yield Reference(alias.lineno, rest, (), bare=False)

    def _of_from(self, node: ast.ImportFrom) -> Iterator[Reference]:
        names = tuple(alias.name for alias in node.names)
        name = node.module or ""
        if node.level:
            if self._package is not None:
                yield Reference(node.lineno, self._absolute(node, self._package), names, bare=False)
            return
        head, _, rest = name.partition(".")
        if head in self._first_party:
            yield Reference(node.lineno, name, names, bare=True)
        elif head == self._module:
            yield Reference(node.lineno, rest, names, bare=False)

    def _absolute(self, node: ast.ImportFrom, package: str) -> str:
        parts = package.split(".") if package else []
        if node.level - 1 > len(parts):
            raise BeyondTop(node.lineno)
        kept = parts[: len(parts) - (node.level - 1)]
        return ".".join([*kept, *([node.module] if node.module else [])])


def unresolved(index: ModuleIndex, reference: Reference) -> str | None:
    """Say why a reference cannot succeed whatever its modules contain; None when it can."""
    head = reference.module.partition(".")[0]
    if head in index.kept_back:
        return f"This imports {head!r}, which is left out of the package. Move what is needed to a place that ships."
    missing = index.missing(reference.module) if reference.module else None
    if missing is None:
        return None
    parent = missing.rpartition(".")[0]
    place = missing.replace(".", "/")
    if parent and index.modules[parent].kind is Kind.MODULE:
        why = f"{parent!r} is a module, {index.modules[parent].path}, and has no modules below it"
    else:
        why = f"there is neither {place}.py nor {place}/"
    return f"No module {missing!r} in the source: {why}. Correct the import or add the module."
