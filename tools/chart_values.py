"""Reads the comments in a chart's values, and renders what follows from them: its schema and its table for people.

`# -- TEXT` above a value says what it is for, over as many lines as it takes; `# @schema JSON` adds to what its default
says of its type. A value without the first is an error: its users would have nothing to go by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_KEY = re.compile(r"( *)([A-Za-z][A-Za-z0-9]*):")
_COMMENT = re.compile(r" *# ?(.*)")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """One value: its path, default, meaning, and what the comment adds to its schema."""

    path: tuple[str, ...]
    default: Any
    meaning: str
    schema: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its type in JSON, after its default."""
        return _TYPES[type(self.default)]


def read_values(text: str) -> list[Value]:
    """Return all values of a chart in their order.

    Raises:
        LookupError: one has no meaning.
    """
    comments = dict(_comments(text))
    return list(_walk((), yaml.safe_load(text), comments))


def schema(title: str, values: list[Value]) -> str:
    """Return the JSON Schema that helm holds users' values to: no name that the chart does not know."""
    root = _node({"$schema": "http://json-schema.org/draft-07/schema#", "title": title})
    for value in values:
        above = root
        for name in value.path[:-1]:
            above = above["properties"].setdefault(name, _node({}))
        described = {"type": value.type, "description": value.meaning, "default": value.default}
        above["properties"][value.path[-1]] = described | dict(value.schema)
    # What a chart above this one may hand down to all of its charts.
    root["properties"]["global"] = {"type": "object"}
    return json.dumps(root, indent=2) + "\n"


def table(values: list[Value]) -> list[str]:
    """Return the lines of a table for people."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values:
        default = json.dumps(value.default).replace("|", "\\|")
        rows.append(f"| `{'.'.join(value.path)}` | `{default}` | {value.meaning.replace('|', '&#124;')} |")
    return rows


def _node(more: Mapping[str, Any]) -> dict[str, Any]:
    return {**more, "type": "object", "additionalProperties": False, "properties": {}}


def _walk(
    path: tuple[str, ...], content: Mapping[str, Any], comments: Mapping[tuple[str, ...], list[str]]
) -> Iterator[Value]:
    for name, default in content.items():
        at = (*path, name)
        said = comments.get(at, [])
        if not said and isinstance(default, dict) and default:
            yield from _walk(at, default, comments)
            continue
        meaning = " ".join(line for line in said if not line.startswith("@schema"))
        if not meaning.startswith("-- "):
            raise LookupError(f"{'.'.join(at)} has no comment that begins with `# -- `")
        added: dict[str, Any] = {}
        for line in said:
            if line.startswith("@schema"):
                added |= json.loads(line.removeprefix("@schema"))
        yield Value(at, default, meaning.removeprefix("-- "), added)


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the comment right above each key that has one."""
    path: list[tuple[int, str]] = []
    said: list[str] = []
    for line in text.splitlines():
        if comment := _COMMENT.fullmatch(line):
            said.append(comment[1])
        elif key := _KEY.match(line):
            depth = len(key[1])
            path = [(level, name) for level, name in path if level < depth] + [(depth, key[2])]
            if said:
                yield tuple(name for _, name in path), said
            said = []
        else:
            said = []
