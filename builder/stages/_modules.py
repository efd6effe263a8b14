"""Which modules a set of files makes up, by the rules of Python's import system: names come from the folder, never a list."""

from __future__ import annotations

import enum
import keyword
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_INIT: Final = "__init__.py"


class Kind(enum.Enum):
    """What a module name stands for."""

    MODULE = enum.auto()
    PACKAGE = enum.auto()
    NAMESPACE = enum.auto()
    """A folder with modules below and no `__init__.py`."""


@dataclass(frozen=True, slots=True)
class Module:
    """One importable name: `path` is its file, for a namespace its folder."""

    name: str
    kind: Kind
    path: str


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """All modules of a folder by dotted name; the folder itself is the nameless one, where it is a package."""

    modules: dict[str, Module]
    top_level: frozenset[str]
    """The names that a bare import finds in this folder; one without `__init__.py` comes after the standard library."""
    kept_back: frozenset[str]
    """Top-level names that exist in the source and are left out of the package."""

    def missing(self, dotted: str) -> str | None:
        """Return the shortest prefix of a dotted name that is no module; None when all of it is there."""
        name = ""
        for part in dotted.split("."):
            name = f"{name}.{part}" if name else part
            if name not in self.modules:
                return name
        return None


def index_modules(shipped: Iterable[str], kept_back: Iterable[str] = ()) -> ModuleIndex:
    """Find the modules that files make up.

    A file below a folder whose name is no identifier is data that happens to be Python: it is in no module.
    Where several things have one name, Python takes the package before the module before the namespace.
    """
    modules = {"": Module("", Kind.PACKAGE, _INIT)}
    for path in sorted(shipped):
        name = module_name(path)
        if name is None:
            continue
        is_package = path.rpartition("/")[2] == _INIT
        if is_package or _kind(modules, name) is not Kind.PACKAGE:
            modules[name] = Module(name, Kind.PACKAGE if is_package else Kind.MODULE, path)
        for parent in _parents(name):
            modules.setdefault(parent, Module(parent, Kind.NAMESPACE, parent.replace(".", "/") + "/"))
    tops = (name.partition(".")[0] for name in map(module_name, kept_back) if name)
    return ModuleIndex(modules, frozenset(_top_level(modules)), frozenset(tops) - modules.keys())


def _top_level(modules: dict[str, Module]) -> Iterable[str]:
    for name, module in modules.items():
        if (
            name
            and "." not in name
            and (module.kind is not Kind.NAMESPACE or name not in sys.stdlib_module_names)
        ):
            yield name


def module_name(path: str) -> str | None:
    """Return the dotted name of a Python file, "" for the folder's own `__init__.py`, None where it has none."""
    if not path.endswith(".py"):
        return None
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if all(map(importable, parts)) else None


def importable(name: str) -> bool:
    """Say whether an import statement can name this."""
    return name.isidentifier() and not keyword.iskeyword(name)


def _kind(modules: dict[str, Module], name: str) -> Kind | None:
    return modules[name].kind if name in modules else None


def _parents(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))
