"""Moves the source into a package: every import of a first-party module gets the package's name, and nothing else changes.

Positions come from Python's own parser, and all that is ever done to a file is to put something in at such a position:
what it held stays, byte for byte. Whole files through LibCST would be ten times slower and are not lossless (1.9.0 moves
blank lines that hold spaces, and drops the last line end after a lone CR).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from builder.parallel import mapped
from builder.problems import Complaint, Refused
from builder.stages._bindings import Bindings, bindings, statements
from builder.stages._imports import BeyondTop, ImportReader, Reference, unresolved
from builder.stages._modules import Kind, Module, ModuleIndex, module_name
from builder.stages._statement import inside_package
from builder.stages._strings import StringReader, StringReferences
from builder.stages._text import Text, Unreadable
from builder.stages.collect import Collected

_SUFFIXES = (".py", ".pyi")
_WORTH_SHARING_BYTES: Final = 1_000_000
"""Reading this much takes longer than starting a process and getting its results."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The files as they are inside the package, by path in it; `findings` are for people, and stop nothing."""

    files: dict[str, bytes]
    findings: tuple[Complaint, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """What one file was found to contain: `content` is what it must be inside the package."""

    path: str
    content: bytes
    imports: tuple[Reference, ...]
    strings: StringReferences
    bindings: Bindings


def rewrite(collected: Collected, module: str) -> Rewritten:
    """Return the source's files as they must be inside package `module`.

    Raises:
        Refused: files that Python cannot read, imports that cannot succeed; all of them at once.
    """
    reader = _Reader(collected.index, module)
    files = [(path, raw) for path, raw in collected.files.items() if path.endswith(_SUFFIXES)]
    worth_sharing = sum(len(raw) for _, raw in files) > _WORTH_SHARING_BYTES
    found = mapped(reader.read, files, share=worth_sharing)
    read = [each for each in found if isinstance(each, _Read)]
    check = _Check(collected.index, read)
    complaints = [each for each in found if isinstance(each, Complaint)]
    complaints += [complaint for file in read for complaint in check.complaints(file)]
    if complaints:
        raise Refused("SourceRefused", sorted(set(complaints)))
    findings = sorted({finding for file in read for finding in check.findings(file)})
    return Rewritten({**collected.files, **{file.path: file.content for file in read}}, tuple(findings))


class _Reader:
    """Reads files one at a time; keeps no syntax tree, which would be most of the memory."""

    def __init__(self, index: ModuleIndex, module: str) -> None:
        self._index = index
        self._module = module
        self._strings = StringReader(module, index.top_level)

    def read(self, file: tuple[str, bytes]) -> _Read | Complaint:
        """Read a file given by path and bytes, or tell why that cannot be done."""
        path, raw = file
        try:
            return self._read(path, raw)
        except Unreadable as problem:
            return problem.at(path)
        except BeyondTop as problem:
            return Complaint(path, problem.line, "This relative import leads out of the package.")

    def _read(self, path: str, raw: bytes) -> _Read:
        text = Text.read(raw)
        tree = text.parse()
        found = list(statements(tree))
        imports = list(ImportReader(self._index, self._module, _package_of(path)).read(found))
        strings = self._strings.read(text, tree)
        insertions = [
            *strings.insertions,
            *(
                insertion
                for statement in imports
                if statement.bare
                for insertion in inside_package(statement.node, text, self._module, self._index.top_level)
            ),
        ]
        return _Read(
            path,
            text.with_insertions(insertions) if insertions else raw,
            tuple(reference for statement in imports for reference in statement.references),
            strings,
            bindings(found, text.utf8),
        )


def _package_of(path: str) -> str | None:
    """Return the package that a file's relative imports start from, None for a file that is in none."""
    folder = path.rpartition("/")[0]
    return module_name(f"{folder}/__init__.py" if folder else "__init__.py")


class _Check:
    """Holds what files refer to against what there is."""

    def __init__(self, index: ModuleIndex, files: list[_Read]) -> None:
        self._index = index
        self._bindings = {file.path: file.bindings for file in files}
        self._imports = {file.path: file.imports for file in files if file.path.endswith("__init__.py")}

    def complaints(self, file: _Read) -> Iterator[Complaint]:
        for reference in file.imports:
            message = unresolved(self._index, reference)
            if message:
                yield Complaint(file.path, reference.line, message)
            else:
                yield from self._missing_names(file.path, reference)
                yield from self._hidden_on_the_way(file.path, reference)
        for line, name in file.strings.required:
            message = unresolved(self._index, Reference(line, name, (), bare=True))
            if message:
                yield Complaint(file.path, line, message)
        yield from (Complaint(file.path, line, message) for line, message in file.strings.refused)
        if file.path == "__init__.py":
            yield from self._names_of_two_things(file)

    def findings(self, file: _Read) -> Iterator[Complaint]:
        for line, message in file.strings.findings:
            yield Complaint(file.path, line, message)
        for line, text in file.strings.mentions:
            if self._names_something(text.replace(":", ".")):
                yield Complaint(
                    file.path,
                    line,
                    f"The string {text!r} reads like a reference into the source; it is left as it is.",
                )
        for reference in file.imports:
            found = self._index.modules.get(reference.module)
            if found and found.kind is Kind.MODULE:
                for name in self._unbound(found.path, reference.names):
                    yield Complaint(
                        file.path,
                        reference.line,
                        f"{found.path} gives itself no name {name!r} that can be seen without running it.",
                    )

    def _missing_names(self, path: str, reference: Reference) -> Iterator[Complaint]:
        package = self._index.modules.get(reference.module)
        if package is None or package.kind is Kind.MODULE:
            return
        for name in self._unbound(package.path, reference.names):
            dotted = f"{package.name}.{name}" if package.name else name
            if dotted in self._index.modules:
                continue
            if dotted in self._index.kept_back:
                why = f"This imports {name!r}, which is left out of the package. Move what is needed to a place that ships."
            elif package.kind is Kind.NAMESPACE:
                why = f"No module {dotted!r} in the source: there is neither {package.path}{name}.py nor {package.path}{name}/. Correct the import or add the module."
            else:
                why = f"{name!r} is neither a name in {package.path} nor a module beside it. Correct the import or add what it names."
            yield Complaint(path, reference.line, why)

    def _hidden_on_the_way(self, path: str, reference: Reference) -> Iterator[Complaint]:
        """`import a.b.c` binds `a` and asks nothing of it; `import P.a.b.c as a` takes each module from the one before."""
        parts = reference.module.split(".")
        for depth in range(1, len(parts) - 1) if not reference.names else ():
            package, name = self._index.modules[".".join(parts[:depth])], parts[depth]
            has = self._bindings.get(package.path)
            if has and name in has.names and not self._imports_module(package, name):
                yield Complaint(
                    path,
                    reference.line,
                    f"Inside the package this import goes through {package.name}.{name}, a name that {package.path} gives to something else than the module. Write from {'.'.join(parts[:-1])} import {parts[-1]}, or rename one.",
                )

    def _imports_module(self, package: Module, name: str) -> bool:
        return any(
            (each.module == package.name and name in each.names)
            or (each.module == f"{package.name}.{name}" and not each.names)
            for each in self._imports.get(package.path, ())
        )

    def _unbound(self, path: str, names: tuple[str, ...]) -> Iterator[str]:
        has = self._bindings.get(path)
        yield from (name for name in names if name != "*" and not (has and has.may_have(name)))

    def _names_of_two_things(self, file: _Read) -> Iterator[Complaint]:
        """`from P import a` means an attribute of P first: in P's own `__init__.py` `a` may be the module alone."""
        modules: set[str] = set()
        for reference in file.imports:
            if reference.module == "":
                modules.update(reference.names)
            elif not reference.names:
                modules.add(reference.module.partition(".")[0])
        for name in sorted((file.bindings.names & self._index.top_level) - modules):
            yield Complaint(
                file.path,
                1,
                f"{name!r} is bound here and is also the module {self._index.modules[name].path}: inside the package one would hide the other. Rename one.",
            )

    def _names_something(self, dotted: str) -> bool:
        missing = self._index.missing(dotted)
        if missing is None:
            return True
        parent, _, name = missing.rpartition(".")
        module = self._index.modules.get(parent)
        has = self._bindings.get(module.path) if module else None
        return has is not None and name in has.names
