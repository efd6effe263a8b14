"""Module names in strings: changed where the call makes their meaning certain, told to people where it does not.

Certain are calls and look-ups whose function is known from the file's own imports and bound by nothing else, with a
string whose first name is written out. Everything else that looks like a reference becomes a finding, and stays.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from builder.stages._expressions import argument, known_names, worth_walking, written_out
from builder.stages._text import Insertion, Text


class _Takes(NamedTuple):
    """Which argument of a function starts with a module's name, by position and by keyword; `whole`: it is a module's."""

    position: int
    keyword: str
    whole: bool = False


_TAKES_MODULE: Final = {
    "importlib.import_module": _Takes(0, "name", whole=True),
    "runpy.run_module": _Takes(0, "mod_name", whole=True),
    "importlib.metadata.EntryPoint": _Takes(1, "value"),
    "importlib.util.find_spec": _Takes(0, "name"),
    "importlib.resources.files": _Takes(0, "anchor"),
    "importlib.resources.contents": _Takes(0, "package"),
    "importlib.resources.is_resource": _Takes(0, "package"),
    "importlib.resources.open_binary": _Takes(0, "package"),
    "importlib.resources.open_text": _Takes(0, "package"),
    "importlib.resources.path": _Takes(0, "package"),
    "importlib.resources.read_binary": _Takes(0, "package"),
    "importlib.resources.read_text": _Takes(0, "package"),
    "pkgutil.get_data": _Takes(0, "package"),
    "pkgutil.resolve_name": _Takes(0, "name"),
    "unittest.mock.patch": _Takes(0, "target"),
    "unittest.mock.patch.dict": _Takes(0, "in_dict"),
    "unittest.mock.patch.multiple": _Takes(0, "target"),
    "uvicorn.Config": _Takes(0, "app"),
    "uvicorn.run": _Takes(0, "app"),
}
_MODULE_TABLE_CALLS: Final = {f"sys.modules.{name}" for name in ("get", "pop", "setdefault", "__contains__")}
_PYTHON: Final = re.compile(r"(?:.*/)?python[0-9.]*")
_QUOTE: Final = re.compile(rb"[A-Za-z]*(?:\"\"\"|'''|\"|')")
_NAME_LIST: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_DOTTED: Final = re.compile(rf"({_NAME_LIST})(?::({_NAME_LIST}))?")
_PYTHON_DASH_M: Final = re.compile(rf"\bpython[0-9.]*\s+-m\s+({_NAME_LIST})")
_FILE_ENDINGS: Final = {"cfg", "html", "ini", "json", "log", "md", "py", "sock", "toml", "txt", "yaml", "yml"}
_CALLS: Final = re.compile(
    rb"import_module|__import__|find_spec|EntryPoint|\bmodules\b|runpy|pkgutil|\bresources\b|\bpatch\b|uvicorn|-m\b"
)
_CALL_WORDS: Final = (
    *(
        b"import_module",
        b"__import__",
        b"find_spec",
        b"EntryPoint",
        b"modules",
        b"runpy",
        b"pkgutil",
        b"resources",
    ),
    *(b"patch", b"uvicorn", b"-m"),
)
"""One of these stands wherever that pattern matches; asking for them takes a tenth of its time."""
_QUOTED_HEAD: Final = re.compile(rb"[\"']([\w\x80-\xff]+)[.:]")


@dataclass(slots=True)
class StringReferences:
    """What one file says of modules in strings.

    `insertions` put the package's name before what is certain; `required` are (line, module) that must exist for the file to
    work; `refused` and `findings` are (line, message); `mentions` are (line, text) that may name a module, a name in one.
    """

    insertions: list[Insertion] = field(default_factory=list)
    required: list[tuple[int, str]] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    findings: list[tuple[int, str]] = field(default_factory=list)
    mentions: list[tuple[int, str]] = field(default_factory=list)


class StringReader:
    """Reads the strings of files of one source; `module` is the package's name, `first_party` the top-level names."""

    def __init__(self, module: str, first_party: frozenset[str]) -> None:
        self._module = module
        self._first_party = first_party

    def read(self, text: Text, tree: ast.Module) -> StringReferences:
        """Find the references in one file."""
        found = StringReferences()
        file = _File(self._module, self._first_party, text, found)
        if any(word in text.utf8 for word in _CALL_WORDS) and _CALLS.search(text.utf8):
            file.read(tree)
        else:  # most files hold no call or command that could make a string certain, and few hold any such string
            lines = [text.line(place) for place in self._first_party_heads(text.utf8)]
            if lines:
                file.read_mentions(worth_walking(tree, lines))
        return found

    def _first_party_heads(self, utf8: bytes) -> Iterator[int]:
        for quoted in _QUOTED_HEAD.finditer(utf8):
            if quoted[1].decode(errors="replace") in self._first_party:
                yield quoted.start()


class _File:
    """One file on its way; findings and insertions go to `found`."""

    def __init__(self, module: str, first_party: frozenset[str], text: Text, found: StringReferences) -> None:
        self._module = module
        self._first_party = first_party
        self._text = text
        self._found = found
        self._known: dict[str, str] = {}
        self._settled: set[int] = set()

    def read(self, tree: ast.Module) -> None:
        """Find all references, the certain ones first."""
        nodes = list(worth_walking(tree))
        self._known = known_names(nodes)
        for node in nodes:
            match node:
                case ast.Call():
                    self._call(node)
                    self._command([*node.args])
                case ast.List(elts=elements) | ast.Tuple(elts=elements):
                    self._command(elements)
                case ast.Subscript(value=value, slice=key) if self._is_table(value):
                    self._prefix(key)
                case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[table]) if (
                    self._is_table(table)
                ):
                    self._prefix(left)
        self.read_mentions(nodes)

    def read_mentions(self, nodes: Iterable[ast.AST]) -> None:
        """Find the strings that read like a reference and are not settled already."""
        for node in nodes:
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in self._settled
            ):
                self._mention(node, node.value)

    def _call(self, call: ast.Call) -> None:
        name = self._qualified(call.func)
        first = call.args[0] if call.args else None
        if name in {"__import__", "builtins.__import__"}:
            self._dunder_import(call)
        elif name == "unittest.mock.patch.dict" and len(call.args) > 1 and self._patches_table(call.args[0]):
            if isinstance(call.args[1], ast.Dict):
                for key in filter(None, call.args[1].keys):
                    self._prefix(key)
        elif name in _MODULE_TABLE_CALLS and first is not None:
            self._prefix(first)
        elif name in _TAKES_MODULE:
            takes = _TAKES_MODULE[name]
            named = argument(call, takes.position, takes.keyword)
            if named is not None:
                self._module_argument(call, named, whole=takes.whole)
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "import_module" and first is not None:
            literal = written_out(first)
            if literal and literal.head in self._first_party:
                self._finding(
                    call,
                    f"{literal.text!r} is given to something called import_module that is not importlib's",
                )

    def _module_argument(self, call: ast.Call, named: ast.expr, *, whole: bool) -> None:
        package = argument(call, 1, "package") if whole else None
        if package is not None:
            self._prefix(package)
        literal = written_out(named)
        if literal is None or literal.head is None:
            if whole:
                self._finding(call, "The module that is imported here is known only at run time")
        elif self._prefix(named) and whole and literal.whole:
            self._found.required.append((named.lineno, literal.text))

    def _dunder_import(self, call: ast.Call) -> None:
        """`__import__("a.b")` returns `a`: the prefixed call must return the same, so it asks for the leaf by `fromlist`."""
        first = argument(call, 0, "name")
        literal = written_out(first) if first is not None else None
        if first is None or literal is None:
            self._finding(call, "The module that is imported here is known only at run time")
            return
        if literal.head not in self._first_party:
            return
        asks_leaf = len(call.args) > 3 or any(keyword.arg == "fromlist" for keyword in call.keywords)  # noqa: PLR2004 -- fromlist is the fourth argument
        alone = len(call.args) + len(call.keywords) == 1
        if not asks_leaf and not (alone and literal.whole and "." not in literal.text):
            self._settled.add(id(literal.node))
            self._found.refused.append(
                (
                    call.lineno,
                    f"__import__({literal.text!r}) cannot be moved into a package. Use importlib.import_module.",
                )
            )
            return
        self._prefix(first)
        if literal.whole:
            self._found.required.append((first.lineno, literal.text))
        if not asks_leaf:
            end = self._text.span(first)[1]
            # a name that every module has: nothing more is imported for it
            self._found.insertions.append(Insertion(end, b', fromlist=("__name__",)'))

    def _command(self, words: list[ast.expr]) -> None:
        """`[sys.executable, "-m", "main"]`: what follows the first `-m` of a Python command is a module."""
        if not words:
            return
        certain = self._is_python(words[0])
        if not certain and isinstance(words[0], ast.Constant):
            return  # another program's command
        rest = itertools.dropwhile(self._is_python, words) if certain else words[1:]
        for option, word in itertools.pairwise(rest):
            if not isinstance(option, ast.Constant) or not str(option.value).startswith("-"):
                return
            if option.value == "-m":
                literal = written_out(word)
                if certain:
                    self._prefix(word)
                elif literal and literal.head in self._first_party:
                    self._finding(
                        word, f"{literal.text!r} is run by its bare name if this is a Python's command"
                    )
                return

    def _is_python(self, word: ast.expr) -> bool:
        if isinstance(word, ast.Constant):
            return isinstance(word.value, str) and _PYTHON.fullmatch(word.value) is not None
        return self._qualified(word) == "sys.executable"

    def _prefix(self, expression: ast.expr) -> bool:
        """Put the package's name before a string that starts with a first-party module; say whether it did."""
        literal = written_out(expression)
        if literal is None or literal.head not in self._first_party or id(literal.node) in self._settled:
            return False
        start, _ = self._text.span(literal.node)
        quote = _QUOTE.match(self._text.utf8, start)
        if quote is None:
            return False
        self._found.insertions.append(Insertion(quote.end(), f"{self._module}.".encode()))
        self._settled.add(id(literal.node))
        return True

    def _mention(self, node: ast.Constant, text: str) -> None:
        dotted = _DOTTED.fullmatch(text)
        if dotted and dotted[1].partition(".")[0] in self._first_party:
            if ("." in text or ":" in text) and text.rpartition(".")[2] not in _FILE_ENDINGS:
                self._found.mentions.append((node.lineno, text))
            return
        for command in _PYTHON_DASH_M.finditer(text):
            if command[1].partition(".")[0] in self._first_party:
                self._finding(node, f"The text {command[0]!r} runs a module of the source by its bare name")

    def _finding(self, node: ast.expr, what: str) -> None:
        self._found.findings.append((node.lineno, f"{what}; it is left as it is."))

    def _qualified(self, expression: ast.expr) -> str | None:
        """Return what a name or chain of attributes means by the file's imports, None when that is not certain."""
        parts: list[str] = []
        while isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name) or expression.id not in self._known:
            return None
        return ".".join([self._known[expression.id], *reversed(parts)])

    def _is_table(self, expression: ast.expr) -> bool:
        return self._qualified(expression) == "sys.modules"

    def _patches_table(self, expression: ast.expr) -> bool:
        literal = written_out(expression)
        return self._is_table(expression) or (literal is not None and literal.text == "sys.modules")
