"""Takes in the source: its files, the modules that they make up, and the names that no package could use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import Final

from builder.problems import Complaint, Refused
from builder.stages._modules import ModuleIndex, importable, index_modules
from builder.tree import SourceTree

_COMPILED: Final = (".so", ".pyd", ".dll", ".dylib")


@dataclass(frozen=True, slots=True)
class Collected:
    """The source as bytes by path, and the index of its modules."""

    files: Mapping[str, bytes]
    index: ModuleIndex


def collect(tree: SourceTree, contents: Mapping[str, bytes]) -> Collected:
    """Take what ships of a source's contents and find the modules it makes up; no list of names is kept anywhere."""
    paths = [file.path for file in tree.shipped]
    return Collected({path: contents[path] for path in paths}, index_modules(paths, tree.kept_back))


def check_names(collected: Collected, module: str) -> None:
    """Check that every file can have the name it has once it lies in package `module`.

    Raises:
        Refused: a name that no import can use, or that would mean something else than the file.
    """
    complaints = sorted({*_wrong_names(collected.files), *_hidden_names(collected.index, module)})
    if complaints:
        raise Refused("NameNotImportable", complaints)


def _wrong_names(files: Mapping[str, bytes]) -> Iterator[Complaint]:
    for path in files:
        *folders, file = path.split("/")
        if path.endswith(_COMPILED):
            yield Complaint(
                path, 0, "Compiled code cannot ship in a package that is pure Python. Make it a dependency."
            )
        if not file.endswith(".py"):
            continue
        for depth, folder in enumerate(folders, 1):
            if not importable(folder):
                init = "/".join([*folders[:depth], "__init__.py"])
                if init in files:
                    yield Complaint(init, 1, _no_module_name(folder, "Rename the folder"))
                break
        else:
            if not importable(file.removesuffix(".py")):
                yield Complaint(path, 1, _no_module_name(file.removesuffix(".py"), "Rename the file"))


def _no_module_name(name: str, cure: str) -> str:
    return f"No import can name {name!r}: it is no identifier, or a keyword. {cure}."


def _hidden_names(index: ModuleIndex, module: str) -> Iterator[Complaint]:
    for name in index.top_level:
        path = index.modules[name].path
        if name == module:
            yield Complaint(path, 0, f"The name {name!r} is the package's own. Rename it.")
        elif BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):
            yield Complaint(
                path,
                0,
                f"Python's own {name!r} comes before this in every import, so nothing reaches it. Rename it.",
            )
