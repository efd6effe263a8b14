"""Module names in strings: changed where the call makes their meaning certain, told to people where it does not.

Certain are calls and look-ups whose function is known from the file's own imports and bound by nothing else, with a
string whose first name is written out. Everything else that looks like a reference becomes a finding, and stays.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from builder.stages._text import Insertion, Text

_MODULE_FIRST: Final = {
    "importlib.import_module": True,
    "runpy.run_module": True,
    "importlib.util.find_spec": False,
    "importlib.resources.files": False,
    "importlib.resources.contents": False,
    "importlib.resources.is_resource": False,
    "importlib.resources.open_binary": False,
    "importlib.resources.open_text": False,
    "importlib.resources.path": False,
    "importlib.resources.read_binary": False,
    "importlib.resources.read_text": False,
    "pkgutil.get_data": False,
    "pkgutil.resolve_name": False,
    "unittest.mock.patch": False,
    "unittest.mock.patch.dict": False,
    "unittest.mock.patch.multiple": False,
    "uvicorn.run": False,
}
"""Functions whose first argument starts with a module's name, and whether the whole of it must be a module."""
_MODULE_TABLE_CALLS: Final = {f"sys.modules.{name}" for name in ("get", "pop", "setdefault", "__contains__")}
_PYTHON: Final = re.compile(r"(?:.*/)?python[0-9.]*")
_QUOTE: Final = re.compile(rb"[A-Za-z]*(?:\"\"\"|'''|\"|')")
_NAME_LIST: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_DOTTED: Final = re.compile(rf"({_NAME_LIST})(?::({_NAME_LIST}))?")
_PYTHON_DASH_M: Final = re.compile(rf"\bpython[0-9.]*\s+-m\s+({_NAME_LIST})")
_FILE_ENDINGS: Final = {"cfg", "html", "ini", "json", "log", "md", "py", "sock", "toml", "txt", "yaml", "yml"}
_CALLS: Final = re.compile(
    rb"import_module|__import__|find_spec|\bmodules\b|runpy|pkgutil|\bresources\b|\bpatch\b|uvicorn|-m\b"
)
_WITHOUT_STRINGS: Final = frozenset({
    "annotation", "arg", "asname", "attr", "bound", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level",
    "module", "names", "op", "ops", "rest", "returns", "simple", "type_comment", "type_ignores", "type_params",
})  # fmt: skip
"""Fields of syntax nodes, by name."""
_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {}
_QUOTED_HEAD: Final = re.compile(rb"[\"']([\w\x80-\xff]+)[.:]")


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
        if self._is_worth_a_look(text.utf8):
            _File(self._module, self._first_party, text, found).read(tree)
        return found

    def _is_worth_a_look(self, utf8: bytes) -> bool:
        """Say by the bytes alone whether a file can hold a reference: most do not, and need no second walk."""
        return _CALLS.search(utf8) is not None or any(
            quoted[1].decode(errors="replace") in self._first_party for quoted in _QUOTED_HEAD.finditer(utf8)
        )


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
        nodes = list(_worth_walking(tree))
        self._known = _known_names(nodes)
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
        elif name in _MODULE_FIRST and first is not None:
            self._module_argument(call, first, required=_MODULE_FIRST[name])
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "import_module" and first is not None:
            literal = _literal(first)
            if literal and literal.head in self._first_party:
                self._finding(
                    call,
                    f"{literal.text!r} is given to something called import_module that is not importlib's",
                )

    def _module_argument(self, call: ast.Call, first: ast.expr, *, required: bool) -> None:
        package = call.args[1] if required and len(call.args) > 1 else None
        for keyword in call.keywords:
            package = keyword.value if keyword.arg == "package" else package
        if package is not None:
            self._prefix(package)
        literal = _literal(first)
        if literal is None or literal.head is None:
            if required:
                self._finding(call, "The module that is imported here is known only at run time")
        elif self._prefix(first) and required and literal.whole:
            self._found.required.append((first.lineno, literal.text))

    def _dunder_import(self, call: ast.Call) -> None:
        """`__import__("a.b")` returns `a`: the prefixed call must return the same, so it asks for the leaf by `fromlist`."""
        first = call.args[0] if call.args else None
        literal = _literal(first) if first is not None else None
        if first is None or literal is None:
            self._finding(call, "The module that is imported here is known only at run time")
            return
        if literal.head not in self._first_party:
            return
        asks_leaf = len(call.args) > 3 or any(keyword.arg == "fromlist" for keyword in call.keywords)  # noqa: PLR2004 -- fromlist is the fourth argument
        alone = len(call.args) == 1 and not call.keywords
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
        if not words or not self._is_python(words[0]):
            return
        for option, word in itertools.pairwise(words[1:]):
            if not isinstance(option, ast.Constant) or not str(option.value).startswith("-"):
                return
            if option.value == "-m":
                self._prefix(word)
                return

    def _is_python(self, word: ast.expr) -> bool:
        if isinstance(word, ast.Constant):
            return isinstance(word.value, str) and _PYTHON.fullmatch(word.value) is not None
        return self._qualified(word) == "sys.executable"

    def _prefix(self, expression: ast.expr) -> bool:
        """Put the package's name before a string that starts with a first-party module; say whether it did."""
        literal = _literal(expression)
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
        literal = _literal(expression)
        return self._is_table(expression) or (literal is not None and literal.text == "sys.modules")


def _literal(expression: ast.expr) -> Literal | None:
    """Return how a string expression begins, when that is written out."""
    match expression:
        case ast.Constant(value=str(text)):
            return Literal(expression, text, whole=True)
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return Literal(expression, text, whole=False)
        case ast.BinOp(left=left, op=ast.Add()):
            begin = _literal(left)
            return begin and Literal(begin.node, begin.text, whole=False)
        case ast.BinOp(left=ast.Constant(value=str(text)) as left, op=ast.Mod()):
            return Literal(left, text.partition("%")[0], whole=False)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)) as pattern, attr="format")):
            return Literal(pattern, text.partition("{")[0], whole=False)
    return None


def _known_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
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


def _worth_walking(tree: ast.Module) -> Iterator[ast.AST]:
    """Go through a tree without docstrings and other strings that stand alone, and without annotations."""
    waiting: list[ast.AST | None] = [tree]
    while waiting:
        node = waiting.pop()
        if node is None:  # a dictionary's `**`, a keyword without default
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


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a kind of node in which there can be a string."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(name for name in kind._fields if name not in _WITHOUT_STRINGS)
    return _FIELDS[kind]
