"""Compares what a wheel offers with what the release before it offered: a name that is gone breaks whoever used it.

Public is what PEP 8 calls so: modules, and names at their top level, that do not begin with an underscore; where there
is `__all__`, exactly what it lists. Of a class, what its body or that of a base in the package defines counts too.
Names that a module only imports are its own business, except in an `__init__.py`, where they are how a package offers
them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from builder.findings import Finding
from builder.problems import Refused
from builder.syntax import parsed

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCOPES: Final = (*_DEFINITIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class PublicName:
    """Where a public name stands: `path` in the wheel, and its line."""

    path: str
    line: int


@dataclass(slots=True)
class _Module:
    path: str
    bound: dict[str, int] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By local name: the module of the package that it comes from, and its name there."""
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    listed: tuple[str, ...] | None = None


def public_names(package: Mapping[str, bytes], module: str) -> dict[str, PublicName]:
    """Return every public name of a package by its dotted name, modules and members of classes among them."""
    modules = {
        _dotted(path, module): _read(f"{module}/{path}", content, _dotted(path, module), module)
        for path, content in package.items()
        if path.endswith(".py") and _is_public(path)
    }
    found: dict[str, PublicName] = {}
    for dotted, each in modules.items():
        found[dotted] = PublicName(each.path, 0)
        names = each.bound if each.listed is None else dict.fromkeys(each.listed, 0)
        for name in names:
            if each.listed is None and name.startswith("_"):
                continue
            found[f"{dotted}.{name}"] = PublicName(each.path, each.bound.get(name, 0))
            if name in each.classes:
                members = _members(modules, each, name, seen=set())
                found |= {f"{dotted}.{name}.{member}": place for member, place in members.items()}
    return found


def removals(
    before: Mapping[str, PublicName],
    after: Mapping[str, PublicName],
    *,
    version: str,
    allowed: Sequence[str],
) -> list[Finding]:
    """Return what release `version` offered and the wheel does not, but for the names that are `allowed` to go.

    An allowed name stands for all below it. Of what went together only the outermost is told.

    Raises:
        Refused: reason NothingRemoved; a name is allowed to go that did not.
    """
    gone = {
        name
        for name in before.keys() - after.keys()
        if not any(outer in before and outer not in after for outer in _outer(name))
    }
    idle = [name for name in allowed if not any(each == name or _below(each, name) for each in gone)]
    if idle:
        raise Refused(
            "NothingRemoved",
            [
                f"--removed {name}: nothing of this name was public in {version} and is gone. Leave it out, or correct it."
                for name in idle
            ],
        )
    return sorted(
        Finding(
            before[name].path,
            before[name].line,
            "PublicNameRemoved",
            f"{name} was public here in {version}, and is gone.",
            f"Bring it back, or verify with --removed {name} if that is meant.",
        )
        for name in gone
        if not any(each == name or _below(name, each) for each in allowed)
    )


def _below(name: str, outer: str) -> bool:
    return name.startswith(f"{outer}.")


def _outer(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _is_public(path: str) -> bool:
    *folders, name = PurePosixPath(path).parts
    stem = name.removesuffix(".py")
    parts = folders if stem == "__init__" else [*folders, stem]
    return all(part.isidentifier() and not part.startswith("_") for part in parts)


def _dotted(path: str, module: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join([module, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _read(path: str, content: bytes, dotted: str, root: str) -> _Module:
    """Read one module; what does not parse offers nothing."""
    found = _Module(path)
    tree = parsed(content)
    if tree is None:
        return found
    offers_imports = path.endswith("/__init__.py")
    for node in _top_level(tree):
        found.listed = _listed(node, found.listed)
        match node:
            case ast.ImportFrom(names=aliases):
                source = _source(node, dotted, is_package=offers_imports)
                for alias in aliases:
                    name = alias.asname or alias.name
                    found.imported[name] = (source, alias.name)
                    if offers_imports and name != "*" and f"{source}.".startswith(f"{root}."):
                        found.bound[name] = node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.bound[node.name] = node.lineno
                if isinstance(node, ast.ClassDef):
                    found.classes[node.name] = node
            case ast.Name(id=name, ctx=ast.Store()):
                found.bound[name] = node.lineno
    return found


def _listed(node: ast.AST, before: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return what `__all__` lists after a statement, if it listed `before` so far; None for nothing, or for unknown."""
    match node:
        case (
            ast.Assign(targets=[ast.Name(id="__all__")], value=value)
            | ast.AnnAssign(target=ast.Name(id="__all__"), value=value)
        ):
            return _words(value)
        case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
            more = _words(value)
            return None if before is None or more is None else (*before, *more)
    return before


def _words(value: ast.expr | None) -> tuple[str, ...] | None:
    """Return the strings in a list that is written out; None for what only running it would tell."""
    if not isinstance(value, ast.List | ast.Tuple):
        return None
    return tuple(
        each.value for each in value.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when a module or a class body runs, in the order of the source."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _top_level(child)


def _source(node: ast.ImportFrom, dotted: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = dotted.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def _members(
    modules: Mapping[str, _Module], holder: _Module, name: str, *, seen: set[str]
) -> dict[str, PublicName]:
    """Return the public members of a class by name, those of its bases in the package included."""
    identity = f"{holder.path}:{name}"
    if identity in seen or name not in holder.classes:
        return {}
    seen.add(identity)
    node = holder.classes[name]
    members: dict[str, PublicName] = {}
    for base in node.bases:
        if isinstance(base, ast.Name):
            source, original = holder.imported.get(base.id, ("", base.id))
            members |= _members(modules, modules.get(source, holder), original, seen=seen)
    for each in _top_level(node):
        if isinstance(each, _DEFINITIONS):
            members[each.name] = PublicName(holder.path, each.lineno)
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            members[each.id] = PublicName(holder.path, each.lineno)
    return {member: place for member, place in members.items() if not member.startswith("_")}
