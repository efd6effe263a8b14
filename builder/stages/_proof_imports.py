"""Finds what compiled Python files import, and whether it is there; shares nothing with the rewriter.

Byte code tells where import statements are (it is made anyway, to see that a file compiles, and reading it costs a
fraction of making a syntax tree); the few words that stand there tell what they name.
"""

from __future__ import annotations

import ast
import codecs
import dis
import functools
import io
import itertools
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Final

from builder.problems import Complaint
from builder.stages._proof_script import places

Import = ast.Import | ast.ImportFrom

_IMPORT_NAME: Final = dis.opmap["IMPORT_NAME"]
_STORE_NAME: Final = dis.opmap["STORE_NAME"]
_READS_AS_IMPORT: Final = re.compile(
    rb"(?:^|[:;\r\n])[ \t\f]*(?:import[ \t\f\\]|from[ \t\f\\.](?:[^\\\r\n]|\\(?:\r\n?|\n)?)*?\bimport\b)"
)
"""Every import statement looks like this, and so does some prose."""
_MAKES_NAMES_AT_RUN_TIME: Final = frozenset({
    "__dict__", "__getattr__", "__import__", "eval", "exec", "global_enum",
    "globals", "locals", "modules", "setattr", "vars",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """An import statement: its line, where it starts and ends in the file's UTF-8 form, what it says."""

    line: int
    start: int
    end: int
    node: Import


@dataclass(frozen=True, slots=True)
class Compiled:
    """A file that compiles: its UTF-8 form, its import statements in order, of an `__init__.py` the names it may have.

    `names` are all that its code uses, None when it may make any: a name that is not among them is certainly not there.
    `stored` are those that its top level binds for certain.
    """

    utf8: bytes
    imports: tuple[Statement, ...]
    names: frozenset[str] | None
    stored: frozenset[str]

    @classmethod
    def of(cls, content: bytes, path: str) -> Compiled | Complaint:
        """Compile a file and read it, or tell why that cannot be done."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(content, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            message = f"Python cannot compile this file: {getattr(error, 'msg', error)}."
            return Complaint(path, line, message, "DoesNotCompile")
        utf8 = as_utf8(content)
        codes = list(_with_all_inside(code))
        imports = _statements(utf8, codes)
        if not path.endswith("__init__.py"):
            return cls(utf8, imports, frozenset(), frozenset())
        return cls(utf8, imports, _names(codes, imports), frozenset(_stored(code)))


def as_utf8(content: bytes) -> bytes:
    """Return a file's text without a byte order mark, as Python's columns count it; the file must be readable."""
    if content.isascii():
        return content
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.removeprefix(codecs.BOM_UTF8).decode(encoding.removesuffix("-sig")).encode()


@functools.lru_cache(maxsize=4096)
def import_alone(text: bytes) -> Import | None:
    """Return the import statement that a text is from its first byte to its last; None when it is anything else."""
    try:
        tree = ast.parse(text.decode())
    except (SyntaxError, ValueError):
        return None
    node = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return None
    lines = text.splitlines(keepends=True)
    ends_last = (node.end_lineno, node.end_col_offset) == (len(lines), len(lines[-1]))
    return node if ends_last and text[:1] in {b"i", b"f"} else None


def _with_all_inside(code: CodeType) -> Iterator[CodeType]:
    waiting = [code]
    while waiting:
        here = waiting.pop()
        yield here
        waiting.extend(each for each in here.co_consts if isinstance(each, CodeType))


def _names(codes: Iterable[CodeType], imports: Iterable[Statement]) -> frozenset[str] | None:
    if any(alias.name == "*" for each in imports for alias in each.node.names):
        return None
    names: set[str] = set()
    for code in codes:
        names.update(code.co_names)
        names.update(const for const in code.co_consts if isinstance(const, str))
    return None if names & _MAKES_NAMES_AT_RUN_TIME else frozenset(names)


def _stored(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opcode == _STORE_NAME:
            yield instruction.argval


def _statements(utf8: bytes, codes: Iterable[CodeType]) -> tuple[Statement, ...]:
    spans = {span for code in codes for span in _spans(code)}
    candidates = sum(1 for _ in _READS_AS_IMPORT.finditer(utf8))
    if not candidates:
        return ()
    starts = [0, *itertools.accumulate(map(len, utf8.splitlines(keepends=True)))]
    if candidates == len(spans) and None not in spans:
        placed = [
            (line, starts[line - 1] + column, starts[last - 1] + end)
            for line, last, column, end in filter(None, spans)
        ]
        read = [(*place, import_alone(utf8[place[1] : place[2]])) for place in sorted(placed)]
        if None not in {node for *_, node in read}:
            return tuple(Statement(line, start, end, node) for line, start, end, node in read if node)
    return tuple(_by_syntax(utf8, starts))  # prose, or code that Python drops because nothing reaches it


def _spans(code: CodeType) -> Iterator[tuple[int, int, int, int] | None]:
    """Return where code imports: line, last line, column and column of the end; None where that was not kept."""
    operations = code.co_code[::2]
    if _IMPORT_NAME not in operations:
        return
    for operation, (line, last, column, end) in zip(operations, code.co_positions(), strict=False):
        if operation == _IMPORT_NAME:
            if line is None or last is None or column is None or end is None:
                yield None
            else:
                yield line, last, column, end


def _by_syntax(utf8: bytes, starts: list[int]) -> Iterator[Statement]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(utf8.decode())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(found, key=lambda each: (each.lineno, each.col_offset)):
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        yield Statement(node.lineno, starts[node.lineno - 1] + node.col_offset, end, node)


class ImportCheck:
    """What the imports of a package may name: bare, nothing of its own; with its name, what it has.

    `files` are the package's, `compiled` those of them that compile.
    """

    def __init__(self, files: Mapping[str, bytes], compiled: Mapping[str, Compiled], module: str) -> None:
        self._files = files
        self.compiled = compiled
        self._module = module
        self._folders = {""}
        self.own: set[str] = set()
        """The names that imports of the bare source find in its folder."""
        for path in files:
            *folders, name = path.split("/")
            if name.endswith(".py") and all(folder.isidentifier() for folder in folders):
                self._folders.update("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
                self.own.add(folders[0] if folders else name.removesuffix(".py"))
        # a folder without __init__.py comes after the standard library on the path of the bare source
        self.own -= {
            name for name in self.own & sys.stdlib_module_names if not self._files.keys() & set(places(name))
        }

    def complaints(self) -> Iterator[Complaint]:
        """Check the imports of all files that compile."""
        for path, file in self.compiled.items():
            for statement in file.imports:
                for message in self._wrong(path.split("/")[:-1], statement.node):
                    yield Complaint(path, statement.line, message)

    def _wrong(self, folder: list[str], node: Import) -> Iterator[str]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._absolute(alias.name, ())
                if alias.asname:
                    yield from self._hidden_on_the_way(alias.name.split("."))
        elif not node.level:
            yield from self._absolute(node.module or "", node.names)
        elif all(part.isidentifier() for part in folder):
            # else it is a script among data: it is in no package, and its imports are its loader's concern
            above = len(folder) - (node.level - 1)
            if above < 0:
                yield "This relative import leads out of the package."
            else:
                below = node.module.split(".") if node.module else []
                yield from self._inside([*folder[:above], *below], node.names)

    def _absolute(self, name: str, taken: Iterable[ast.alias]) -> Iterator[str]:
        head, *rest = name.split(".")
        if head in self.own:
            yield f"The import of {name!r} still names a module of the package without the package."
        elif head == self._module:
            yield from self._inside(rest, taken)

    def _hidden_on_the_way(self, parts: list[str]) -> Iterator[str]:
        """`import P.a.b.c as x` takes each module from the one before it, whatever that has under the name."""
        for depth in range(2, len(parts) - 1) if parts[0] == self._module else ():
            package, name = parts[1:depth], parts[depth]
            init = self.compiled.get("/".join([*package, "__init__.py"]))
            if init and name in init.stored and not self._imports_module(init, package, name):
                yield f"This import goes through {'.'.join(parts[: depth + 1])!r}, a name that its package gives to something else than the module."

    def _imports_module(self, init: Compiled, package: list[str], name: str) -> bool:
        for node in (statement.node for statement in init.imports):
            if isinstance(node, ast.Import):
                wanted = ".".join([self._module, *package, name])
                if any(alias.name == wanted for alias in node.names):
                    return True
            elif any(alias.name == name for alias in node.names):
                whole = ".".join([self._module, *package])
                if (node.level, node.module) in {(1, None), (0, whole)}:
                    return True
        return False

    def _inside(self, target: list[str], taken: Iterable[ast.alias]) -> Iterator[str]:
        """Check a module of the package, and what is taken from it if it is a folder."""
        if not self._exists(target):
            yield f"There is no module {'.'.join(target)!r} in the package."
            return
        init = "/".join([*target, "__init__.py"])
        if init in self._files:
            has = self.compiled[init].names if init in self.compiled else None
        else:
            has = None if target and "/".join(target) + ".py" in self._files else frozenset()
        if has is None:
            return
        for name in (alias.name for alias in taken):
            dunder = name == "*" or (name.startswith("__") and name.endswith("__"))
            if not (dunder or name in has or self._exists([*target, name])):
                yield f"{'.'.join([self._module, *target])!r} has neither a module nor a name {name!r}."

    def _exists(self, parts: list[str]) -> bool:
        place = "/".join(parts)
        return place in self._folders or f"{place}.py" in self._files
