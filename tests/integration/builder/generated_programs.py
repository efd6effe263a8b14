"""Programs of several modules that import each other in every form: for the claim that moving them changes nothing they do."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

MODULES = (
    "main",
    "config",
    "events",
    "adapters",
    "adapters.base",
    "adapters.deep",
    "adapters.deep.leaf",
    "space.inner",
)
_PACKAGES = {"adapters", "adapters.deep"}
_PATHS = {name: name.replace(".", "/") + ("/__init__.py" if name in _PACKAGES else ".py") for name in MODULES}
_MOST_LINES = 6

_RUN = """
import contextlib, importlib, io, json, re, sys, types
here, prefix, modules = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

def told(value):
    if isinstance(value, types.ModuleType):
        return "module " + value.__name__.removeprefix(prefix)
    if isinstance(value, types.FunctionType):
        return "function " + value.__module__.removeprefix(prefix) + "." + value.__qualname__
    if isinstance(value, type):
        return "class " + value.__qualname__
    if isinstance(value, tuple):
        return [told(each) for each in value]
    return module_text.sub(r"module \1", repr(value)).replace(prefix, "")

place = re.compile(r" [(]/.*[)]$")
module_text = re.compile(r"<module '([\\w.]+)'[^>]*>")

def attempt(step):
    try:
        return told(step())
    except Exception as error:
        return type(error).__name__ + ": " + place.sub("", str(error)).replace(prefix, "")

def own(name):
    return name.removeprefix(prefix).partition(".")[0] in {each.partition(".")[0] for each in modules}

for folder in sys.stdin.read().splitlines():
    sys.path[0:0] = [folder]
    importlib.invalidate_caches()
    said, result = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        for name in modules:
            result[name] = attempt(lambda: importlib.import_module(prefix + name))
        for name in modules:
            module = sys.modules.get(prefix + name)
            if module is None:
                continue
            result[name + " has"] = {
                key: told(value) for key, value in sorted(vars(module).items()) if not key.startswith("__")
            }
            result[name + " returns"] = attempt(lambda: getattr(module, "called", lambda: None)())
    result["said"] = said.getvalue().replace(prefix, "")
    result["loaded"] = sorted(name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix) and own(name))
    print(json.dumps(result))
    for name in [name for name in sys.modules if name == "molecule_runtime" or (name.startswith(prefix) and own(name))]:
        del sys.modules[name]
    sys.path.remove(folder)
"""


class Program:
    """Modules of a source by path; no dataclass, of which Hypothesis would print all files of a batch that fails."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def __repr__(self) -> str:
        return "<program>"

    def text(self) -> str:
        """Show the files that hold anything, each under its path."""
        return "\n".join(
            f"--- {path}\n" + content.decode().replace("\r\n", "\n")
            for path, content in self.files.items()
            if content
        )

    def write(self, folder: Path) -> Path:
        """Write the source into a new folder."""
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder


def behaviours(folders: Sequence[Path], prefix: str) -> list[dict[str, object]]:
    """Import every module of every program in one new process, call what they define, and return all that is seen.

    Args:
        folders: go on sys.path, each alone and in its turn.
        prefix: what comes before the modules' names: the package with a dot, or nothing.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _RUN, "", prefix, json.dumps(MODULES)],
        input="\n".join(map(str, folders)), capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Tell what of one program's behaviour is not the same twice, one line for each thing seen."""
    told = []
    for seen in sorted(before.keys() | after.keys()):
        one, other = before.get(seen), after.get(seen)
        if isinstance(one, dict) and isinstance(other, dict):
            told += [f"{seen} {line}" for line in differences(one, other)]
        elif one != other:
            told.append(f"{seen}: {one!r} bare, {other!r} in the package")
    return told


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


class _Forms(NamedTuple):
    """Which forms a program may have: `import a.b`, and module names in strings."""

    dotted: bool
    strings: bool


@st.composite
def _imports(draw: st.DrawFn, here: str, allowed: _Forms) -> str:
    """One statement or expression that imports a module of the program, and what is done with it."""
    target = draw(st.sampled_from([name for name in MODULES if name != here]))
    parent, _, leaf = target.rpartition(".")
    head = target.partition(".")[0]
    bound = draw(st.sampled_from(["one", "two", head, "VALUE", *({leaf} - {"deep"})]))
    gap = draw(st.sampled_from([" ", "  ", "\t", " \\\n    "]))
    named = target if allowed.dotted else head
    forms = [
        f"import{gap}{named}",
        f"import {named}{gap}as {bound}",
        f"import json,{gap}{named} , os.path",
        f"import {named} as {bound}, {named}",
        f"from {target}{gap}import VALUE",
        f"from {target} import (VALUE as {bound},{gap.replace(chr(92), ' ')} called  # VALUE\n    as other)",
        f"from {target} import *",
        f'{bound} = "import {target}"',
    ]
    if parent:
        forms += [f"from {parent}{gap}import {leaf}", f"from {parent} import {leaf} as {bound}"]
    if parent and parent == (here if here in _PACKAGES else _parent(here)):
        forms += [f"from . import {leaf}", f"from .{leaf} import VALUE as {bound}"]
    if allowed.strings:
        forms += _in_strings(target, bound)
    return draw(st.sampled_from(forms))


def _in_strings(target: str, bound: str) -> Iterator[str]:
    parent, _, leaf = target.rpartition(".")
    head = target.partition(".")[0]
    yield from (
        f'{bound} = importlib.import_module("{target}")',
        f'{bound} = importlib.import_module(name=f"{head}{target[len(head) :] or ""}")',
        f'{bound} = sys.modules.get("{target}")',
        f'{bound} = "{target}" in sys.modules',
        f'{bound} = __import__("{head}")',
        f'{bound} = __import__("{target}", fromlist=["VALUE"]).VALUE',
        f'{bound} = pkgutil.resolve_name("{target}:VALUE")',
    )
    if parent:
        yield f'{bound} = importlib.import_module(".{leaf}", package="{parent}")'


@st.composite
def _line(draw: st.DrawFn, here: str, allowed: _Forms) -> str:
    imported = draw(_imports(here, allowed))
    shape = draw(st.integers(0, 9))
    indented = imported
    one_line = "\n" not in imported
    star = "import *" in imported
    if shape == 1:
        return f"try:\n    {indented}\nexcept Exception as error:\n    print(type(error).__name__)"
    if shape == 2 and one_line:
        return f"if len(__name__): {imported}; print('after')\nelse: import json"
    if shape == 3:
        return f"try: from not_there import VALUE\nexcept ImportError:\n    {indented}"
    if shape == 5 and not star:
        return f"class Held{draw(st.integers(0, 3))}:\n    {indented}"
    if shape == 6 and not star:
        return (
            f"def called():\n    '''import config'''\n    {indented}\n    return sorted(map(str, locals()))"
        )
    if shape == 7 and one_line and not star:
        return f"def called(): {imported}; return VALUE, {here.partition('.')[0]!r}"
    around = {
        4: f"if TYPE_CHECKING:\n    {indented}",
        8: f"with suppress(ImportError, AttributeError):\n    {indented}  # and on",
        9: f"try:\n    {indented}\nfinally: config = 'config'",
    }
    return around.get(shape, imported)


def _caught(line: str) -> str:
    if line.startswith("def "):
        return line
    indented = line.replace("\n", "\n    ")
    return f"try:\n    {indented}\nexcept Exception as error:\n    print(type(error).__name__)"


@st.composite
def programs(draw: st.DrawFn, *, strings: bool = True) -> Program:
    """Draw a program, with module names in `strings` or without; circles and names that are not there yet come up, and must fail in the same way after the move.

    One thing is known to differ: when a package fails half-way, its submodules stay loaded, and where `import a.b` then
    finds `a.b` it goes on to load `a` once more; `import P.a.b as b` looks for `a` in `P` and raises ImportError. So in
    one program either no package fails, or no such statement is there. The name of the package `adapters.deep` is never
    given to anything else: that is refused where `import adapters.deep.leaf` would have to find its way through it.
    """
    steady = draw(st.booleans())
    files = {"__init__.py": b""}
    end = draw(st.sampled_from(["\n", "\r\n"]))
    for number, name in enumerate(MODULES):
        lines = draw(st.lists(_line(name, _Forms(steady, strings)), min_size=1, max_size=_MOST_LINES))
        if steady and name in _PACKAGES:
            lines = [_caught(line) for line in lines]
        used = draw(
            st.sampled_from(
                ["VALUE", "config", "adapters.base.VALUE", "events.VALUE + 1", "sorted(globals())"]
            )
        )
        text = [
            "import importlib, os, pkgutil, sys",
            "from contextlib import suppress",
            "from typing import TYPE_CHECKING",
            f"VALUE = {number}",
            *lines,
            f"try: RESULT = {used}\nexcept Exception as error: RESULT = type(error).__name__",
            ""
            if "def called" in "".join(lines)
            else f"def called(config=1, *, events=2): return config, events, VALUE, {name!r}",
            "def main_sync(): ...",
            "",
        ]
        files[_PATHS[name]] = "\n".join(text).replace("\n", end).encode()
    return Program(files)
