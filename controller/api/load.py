"""Reading a WorkspaceRuntime document: one clear message with line, path, cause and cure, or the document."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controller.api.field_error import FieldError
from controller.api.patterns import PATTERN_WORDS
from controller.api.v1alpha1 import RENAMED, WorkspaceRuntime

Path = tuple[str | int, ...]

SHOWN_CHARACTERS: Final = 80
"""How much of a refused value a message repeats."""


class InvalidDocument(ValueError):  # noqa: N818 -- names the document's state, as ValidationError does the check's
    """The text is not a valid WorkspaceRuntime; `str()` has one line per problem: `FILE:LINE: PATH: message`."""


def load(text: str, *, file: str) -> WorkspaceRuntime:
    """Return the document in YAML `text`; `file` is its name in messages.

    Raises:
        InvalidDocument: bad YAML, several documents, unknown fields, wrong types or values.
    """
    node, content = _parsed(text, file=file)
    if not isinstance(content, dict):
        raise InvalidDocument(
            f"{file}:1: holds no object; it must start with apiVersion, kind, metadata and spec"
        )
    problems = [(line, path, "stands twice; keep one") for path, line in _duplicate_keys(node, (), ())]
    if not problems:
        content.pop("status", None)
        try:
            return WorkspaceRuntime.model_validate(content)
        except ValidationError as error:
            problems = [_problem(node, details) for details in error.errors()]
    lines = [
        f"{file}:{line}: {_dotted(path)}: {message}"
        for line, path, message in sorted(problems, key=lambda problem: (problem[0], _dotted(problem[1])))
    ]
    raise InvalidDocument("\n".join(dict.fromkeys(lines)))


def load_object(content: Mapping[str, Any]) -> WorkspaceRuntime:
    """Return the document in an object as an API server has it.

    Raises:
        InvalidDocument: `str()` has one line per problem: `PATH: message`.
    """
    try:
        return WorkspaceRuntime.model_validate({key: content[key] for key in content if key != "status"})
    except ValidationError as error:
        found = [_problem(None, details) for details in error.errors()]
    lines = sorted(f"{_dotted(path)}: {message}" for _, path, message in found)
    raise InvalidDocument("\n".join(dict.fromkeys(lines)))


def _parsed(text: str, *, file: str) -> tuple[yaml.Node | None, object]:
    """Return the nodes of `text`, which know their lines, and its values."""
    loader = yaml.SafeLoader("")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return node, loader.construct_document(node) if node else None
    except yaml.YAMLError as error:
        raise unreadable(error, file=file) from None
    except ValueError as error:
        # A plain scalar that looks like a date and is none.
        raise InvalidDocument(f"{file}:1: not readable as YAML: {error}; put such values in quotes") from None


def unreadable(error: yaml.YAMLError, *, file: str) -> InvalidDocument:
    """Return why a text is no YAML, with the line and the cure."""
    if isinstance(error, yaml.reader.ReaderError):
        return InvalidDocument(
            f"{file}:1: not readable as YAML: character #x{error.character:04x} is not allowed; remove it"
        )
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    if getattr(error, "context", None) == "expected a single document in the stream":
        return InvalidDocument(f"{file}:{line}: a second document starts here; keep one per file")
    problem = getattr(error, "problem", None) or str(error)
    return InvalidDocument(
        f"{file}:{line}: not readable as YAML: {problem}; correct the indentation or quoting there"
    )


def _problem(node: yaml.Node | None, details: ErrorDetails) -> tuple[int, Path, str]:
    error = details.get("ctx", {}).get("error")
    inner = error.path if isinstance(error, FieldError) else ()
    path = (*(part for part in details["loc"] if part != "[key]"), *inner)
    line, found = _locate(node, path)
    return line, path, _message(path, details, found)


def _message(path: Path, details: ErrorDetails, node: yaml.Node | None) -> str:
    kind, value = details["type"], details["input"]
    match kind:
        case "extra_forbidden" if path[-1] in RENAMED:
            return f"has another name now; write {RENAMED[str(path[-1])]}"
        case "extra_forbidden":
            known = sorted(_known_fields(path[:-1]))
            close = difflib.get_close_matches(str(path[-1]), known, n=1)
            return (
                f"unknown field; did you mean {close[0]}?"
                if close
                else f"unknown field; known here: {', '.join(known)}"
            )
        case "missing":
            return "is required and missing"
        case "value_error":
            return details["msg"].removeprefix("Value error, ")
        case "invalid_key":
            return "a field's name must be a string; put it in quotes"
        case "string_type" if details["loc"][-1] == "[key]":
            return "a key must be a string; put it in quotes"
        case "string_type" if isinstance(value, bool | int | float | dt.date):
            return f"must be a string, got {_shown(value, node)}; put it in quotes"
        case "int_type" if isinstance(value, str) and value.isdigit():
            return f"{_wanted(details)}, got the string {value!r}; write it without quotes"
    return f"{_wanted(details)}, got {_shown(value, node)}"


WANTED: Final = {
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object with fields",
    "model_type": "must be an object with fields",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
}
"""What each of pydantic's checks asks for, in words; the test knows every check that the model uses."""


def _wanted(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "string_pattern_mismatch":
        return PATTERN_WORDS[context["pattern"]]
    if context.get("max_length") == 1:
        return "must have at most 1 entry"
    return WANTED.get(details["type"], details["msg"]).format_map(context)


def _shown(value: object, node: yaml.Node | None) -> str:
    """Name what was found, as it was typed; credentials in an address are blanked."""
    typed = node.value if isinstance(node, yaml.ScalarNode) else str(value)
    match value:
        case None:
            return "nothing"
        case bool():
            return str(typed)
        case int() | float():
            return f"the number {typed}"
        case str():
            blanked = re.sub(r"//[^/\s]*@", "//***@", value)
            return repr(blanked if len(blanked) <= SHOWN_CHARACTERS else f"{blanked[:SHOWN_CHARACTERS]}…")
        case dict():
            return "an object" if value else "an empty object"
        case list():
            return "a list" if value else "an empty list"
    return f"the date {typed}"


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
        # A key of unprintable characters would end the line that the message is.
        shown = part if isinstance(part, int) or part.isprintable() else repr(part)
        text += f"[{shown}]" if isinstance(part, int) else f".{shown}" if text else str(shown)
    return text or "document"


def _locate(node: yaml.Node | None, path: Path) -> tuple[int, yaml.Node | None]:
    """Return the line that `path` starts in, or that of its nearest parent, and its node if it exists."""
    line = 1
    for part in path:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            return line, None
        node = found
    return line, node


def _duplicate_keys(
    node: yaml.Node | None, path: Path, parents: tuple[yaml.Node, ...]
) -> Iterable[tuple[Path, int]]:
    """Yield path and line of every repeated key; an alias of one of its own parents is not followed."""
    if node is None or node in parents:
        return
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), key.start_mark.line + 1
            seen.add(key.value)
            yield from _duplicate_keys(value, (*path, key.value), (*parents, node))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicate_keys(value, (*path, index), (*parents, node))
