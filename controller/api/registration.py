"""Adds a template to the list of a document's text, and leaves every other byte as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from controller.api.load import InvalidDocument, load
from controller.api.v1alpha1 import Template

_BASE: Final = "BASE_IMAGE"
"""The argument of a template's Dockerfile that says where its base is; all of a document have it from one place."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A text with one more template, and the line, from 1, where that begins."""

    text: str
    line: int


def register_template(text: str, name: str, *, directory: str, file: str) -> Registered:
    """Append template `name` to `spec.templates`, in the manner of the last one: its registry and base, and git if it is built from git.

    Args:
        text: YAML, one document.
        name: what the template is called; its image is the last one's with the name replaced, else
            `workspace-template-NAME` beside it.
        directory: its folder, as the document's own folder sees it; used where the last one is built from a folder.
        file: its name in messages.

    Raises:
        InvalidDocument: the document is not valid before or after that, has the template already, or writes its list
            of templates in one line.
    """
    templates = load(text, file=file).spec.templates
    node = _templates_node(text)
    if any(each.name == name for each in templates):
        raise InvalidDocument(f"{file}:{node.start_mark.line + 1}: spec.templates: has {name} already")
    if node.flow_style:
        raise InvalidDocument(
            f"{file}:{node.start_mark.line + 1}: spec.templates: is written in one line; write each template on lines of its own"
        )
    lines = text.splitlines(keepends=True)
    after = _last_line(node.value[-1]) + 1
    if not lines[after - 1].endswith("\n"):
        lines[after - 1] += "\n"
    indent = " " * node.start_mark.column
    entry = "".join(f"{indent}{line}\n" for line in _entry(templates[-1], name, directory))
    added = "".join([*lines[:after], entry, *lines[after:]])
    load(added, file=file)
    return Registered(added, after + 1)


def _entry(last: Template, name: str, directory: str) -> list[str]:
    folder, _, repository = last.image.rpartition("/")
    renamed = repository.replace(last.name, name) if last.name in repository else f"workspace-template-{name}"
    return [
        f"- name: {name}",
        f"  image: {f'{folder}/' if folder else ''}{renamed}",
        "  build:",
        *(f"    {line}" for line in _build(last, name, directory)),
    ]


def _build(last: Template, name: str, directory: str) -> list[str]:
    base = (last.build.args or {}).get(_BASE)
    args = [f"args: {_word({_BASE: base})}"] if base else []
    if last.build.git is None:
        return [f"directory: {_word(directory)}", *args]
    given = last.build.git.model_dump(by_alias=True, exclude_unset=True)
    renamed = {
        key: value.replace(last.name, name) if key in {"url", "path"} else value
        for key, value in given.items()
    }
    return ["git:", *(f"  {key}: {_word(value)}" for key, value in renamed.items()), *args]


def _word(value: str | Mapping[str, str]) -> str:
    return (
        yaml.safe_dump(value if isinstance(value, str) else dict(value), default_flow_style=True, width=1000)
        .removesuffix("...\n")
        .rstrip()
    )


def _templates_node(text: str) -> yaml.SequenceNode:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("spec", "templates"):
        node = next(value for name, value in node.value if name.value == key)
    found: yaml.SequenceNode = node
    return found


def _last_line(node: yaml.Node) -> int:
    """Return the line of the last word in it: a block itself ends where the next one begins, behind comments and blanks."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.line)
