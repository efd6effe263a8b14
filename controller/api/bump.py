"""Puts another version into the one place of a text that holds it, and leaves every other byte as it was.

Positions come from the YAML parser's own marks; nothing is dumped anew, so comments, quotes, anchors and line ends stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from controller.api.load import InvalidDocument, unreadable
from controller.api.names import GROUP, KIND

_LINE_STYLES: Final = {None, "'", '"'}
_NOTHING: Final = -1


@dataclass(frozen=True, slots=True)
class Bumped:
    """A text with its version replaced; `before` is what stood there, `text` equals the old one if nothing changes."""

    text: str
    before: str
    line: int
    """Where it stands, from 1."""


def bump_document(text: str, version: str, *, file: str, name: str | None = None) -> Bumped:
    """Replace `spec.version` of the WorkspaceRuntime in `text`, which may hold documents of other kinds beside it.

    The value ends up in quotes, so that 0.10 is no number: in its own, else in double ones. Where the field is an alias, the
    anchored value is replaced.

    Args:
        text: YAML, one or several documents.
        version: normalised (PEP 440).
        file: its name in messages.
        name: `metadata.name` of the object to change; needed when there are several.

    Raises:
        InvalidDocument: no such object, several, no such field, or a value that is not one plain or quoted word.
    """
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise unreadable(error, file=file) from None
    node = _version_node(_the_object(roots, file, name), file)
    token = next(
        (each for each in tokens if isinstance(each, yaml.ScalarToken) and _end(each) == _end(node)), None
    )
    line = node.start_mark.line + 1
    if token is None or token.style not in _LINE_STYLES or not isinstance(node, yaml.ScalarNode):
        raise InvalidDocument(
            f'{file}:{line}: spec.version: must be one word in quotes; write it like "0.1.6"'
        )
    if node.value == version and token.style is not None:
        return Bumped(text, node.value, line)
    quote = token.style or '"'
    new = f"{quote}{version}{quote}"
    return Bumped(text[: token.start_mark.index] + new + text[token.end_mark.index :], node.value, line)


def _end(marked: yaml.Node | yaml.Token) -> int:
    return marked.end_mark.index if marked.end_mark else _NOTHING


def _the_object(roots: list[yaml.Node], file: str, name: str | None) -> yaml.Node:
    objects = [root for root in roots if _is_ours(root)]
    if not objects:
        raise InvalidDocument(f"{file}:1: holds no {KIND}; name the file that declares the runtime's version")
    chosen = [each for each in objects if name is None or _word(each, "metadata", "name") == name]
    known = ", ".join(_word(each, "metadata", "name") or "(no name)" for each in objects)
    if not chosen:
        raise InvalidDocument(f"{file}:1: holds no {KIND} named {name}; it holds: {known}")
    if len(chosen) > 1:
        line = chosen[1].start_mark.line + 1
        raise InvalidDocument(
            f"{file}:{line}: holds {len(chosen)} of {KIND} named {name}; keep each in a file of its own"
            if name is not None
            else f"{file}:{line}: holds {len(chosen)} of {KIND}: {known}; say which with --name NAME"
        )
    return chosen[0]


def _is_ours(root: yaml.Node) -> bool:
    return _word(root, "kind") == KIND and (_word(root, "apiVersion") or "").startswith(f"{GROUP}/")


def _version_node(root: yaml.Node, file: str) -> yaml.Node:
    spec = _one(root, "spec", file, "spec")
    if spec is None:
        raise InvalidDocument(f"{file}:{root.start_mark.line + 1}: spec: is required and missing")
    version = _one(spec, "version", file, "spec.version")
    if version is None:
        raise InvalidDocument(f"{file}:{spec.start_mark.line + 1}: spec.version: is required and missing")
    return version


def _one(node: yaml.Node, key: str, file: str, path: str) -> yaml.Node | None:
    found = list(_values(node, key))
    if len(found) > 1:
        raise InvalidDocument(f"{file}:{found[1].start_mark.line + 1}: {path}: stands twice; keep one")
    return found[0] if found else None


def _word(node: yaml.Node, *path: str) -> str | None:
    for key in path:
        node = next(_values(node, key), yaml.ScalarNode("", ""))
    return node.value if isinstance(node, yaml.ScalarNode) and node.value else None


def _values(node: yaml.Node, key: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        yield from (value for name, value in node.value if name.value == key)
