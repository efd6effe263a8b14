"""Reading a WorkspaceRuntime document: one clear message with line, path, cause and cure, or the document."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from controller.api.v1alpha1 import WorkspaceRuntime

Path = tuple[str | int, ...]


class InvalidDocument(ValueError):  # noqa: N818 -- names the document's state, as ValidationError does the check's
    """The text is not a valid WorkspaceRuntime; `str()` has one line per problem: `FILE:LINE: PATH: message`."""


def load(text: str, *, file: str) -> WorkspaceRuntime:
    """Return the document in YAML `text`; `file` is its name in messages.

    Raises:
        InvalidDocument: bad YAML, several documents, unknown fields, wrong types or values.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise InvalidDocument(
            f"{file}:{line}: not readable as YAML: {error.problem}; correct the indentation or quoting there"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidDocument(f"{file}:1: not readable as YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise InvalidDocument(
            f"{file}:1: holds no object; it must start with apiVersion, kind, metadata and spec"
        )
    duplicates = list(_duplicate_keys(node, ()))
    if duplicates:
        raise InvalidDocument(
            "\n".join(f"{file}:{line}: {_dotted(path)}: stands twice; keep one" for path, line in duplicates)
        )
    content.pop("status", None)
    try:
        return WorkspaceRuntime.model_validate(content)
    except ValidationError as error:
        lines = [_line(file, node, problem) for problem in error.errors()]
        raise InvalidDocument("\n".join(sorted(set(lines), key=_line_number))) from None


def _line(file: str, node: yaml.Node | None, problem: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    path = tuple(part for part in problem["loc"] if part not in {"int", "str"})
    message = _message(path, problem)
    return f"{file}:{_line_of(node, path)}: {_dotted(path)}: {message}"


def _message(path: Path, problem: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    kind, text = problem["type"], problem["msg"]
    if kind == "extra_forbidden":
        known = sorted(_known_fields(path[:-1]))
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"unknown field; {hint}"
    if kind == "missing":
        return "is required and missing"
    if kind == "value_error":
        return str(text.removeprefix("Value error, "))
    value = problem["input"]
    shown = (
        repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    )
    text = text[0].lower() + text[1:]
    if kind == "string_type" and isinstance(value, int | float):
        return f"must be a string, got the number {shown}; put it in quotes"
    return f"{text}, got {shown}"


def _known_fields(path: Path) -> Iterable[str]:
    model: Any = WorkspaceRuntime
    for part in path:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in fields:
            return ()
        model = _model_of(fields[part].annotation)
        if model is None:
            return ()
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_of(annotation: Any) -> Any:  # noqa: ANN401 -- typing constructs have no common type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_of(argument)
        if found is not None:
            return found
    return None


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "document"


def _line_of(node: yaml.Node | None, path: Path) -> int:
    line = 1
    for part in path:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line


def _line_number(message: str) -> tuple[int, str]:
    number = message.split(":", 2)[1] if message.count(":") > 1 else "0"
    return (int(number) if number.isdigit() else 0, message)


def _duplicate_keys(node: yaml.Node | None, path: Path) -> Iterable[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), key.start_mark.line + 1
            seen.add(key.value)
            yield from _duplicate_keys(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicate_keys(value, (*path, index))
