"""Makes a value that a JSON Schema takes: arguments of a tool, or an answer that must be JSON.

Read are the words that agents' schemas use in practice: the drafts' types and combinations, references within the
document, and Gemini's upper-case type names. A value is the smallest that is taken: optional members are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.model_server.conversation import Json

_DEEPEST: Final = 12
_FORMATS: Final = {
    "date": "2024-01-01",
    "date-time": "2024-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "somebody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NO_FREE_TEXT: Final = frozenset({"enum", "const", "pattern"})


def value_for(schema: object, text: str, *, root: Json | None = None, depth: int = 0) -> Any:  # noqa: ANN401 -- any JSON value
    """Return a value that `schema` takes, with `text` wherever it asks for words of no special form."""
    if depth > _DEEPEST or not isinstance(schema, Mapping):
        return None
    root = schema if root is None else root
    schema = resolved(schema, root)
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    match type_of(schema):
        case "object":
            return _object(schema, text, root, depth)
        case "array":
            count = int(schema.get("minItems") or 0)
            return [value_for(schema.get("items"), text, root=root, depth=depth + 1) for _ in range(count)]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return _words(schema, text)


def is_free_text(schema: object, root: Json) -> bool:
    """Whether `schema` takes any words, so that what is put there can come back as it is."""
    if not isinstance(schema, Mapping):
        return False
    schema = resolved(schema, root)
    return type_of(schema) == "string" and not _NO_FREE_TEXT & schema.keys() and schema.get("format") is None


def resolved(schema: Json, root: Json) -> Json:
    """Return the schema that is meant: references followed, of several alternatives the first that is not null."""
    for _ in range(_DEEPEST):
        if isinstance(reference := schema.get("$ref"), str):
            schema = _referenced(reference, root)
        elif alternatives := (schema.get("anyOf") or schema.get("oneOf")):
            schema = next((each for each in alternatives if type_of(each) != "null"), {})
        elif combined := schema.get("allOf"):
            schema = _merged(schema, [resolved(each, root) for each in combined])
        else:
            break
    return schema


def type_of(schema: Json) -> str:
    """Return the type's name in lower case; what has members is an object, and else no type means words."""
    named = schema.get("type")
    if isinstance(named, list):
        named = next((each for each in named if each != "null"), "null")
    if isinstance(named, str):
        return named.lower()
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _merged(schema: Json, parts: list[Json]) -> Json:
    properties: dict[str, Any] = {}
    required: list[str] = []
    merged: dict[str, Any] = {}
    for part in [*parts, {key: value for key, value in schema.items() if key != "allOf"}]:
        merged |= part
        properties |= part.get("properties") or {}
        required += part.get("required") or []
    return merged | ({"properties": properties, "required": required} if properties else {})


def _referenced(reference: str, root: Json) -> Json:
    found: Any = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _object(schema: Json, text: str, root: Json, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    return {
        name: value_for(properties.get(name, {}), text, root=root, depth=depth + 1)
        for name in schema.get("required") or []
    }


def _number(schema: Json) -> int | float:
    least: int | float | None = schema.get("minimum")
    if least is None and (below := schema.get("exclusiveMinimum")) is not None:
        least = below + 1
    most: int | float = schema.get("maximum", 1)
    return min(1, most) if least is None else least


def _words(schema: Json, text: str) -> str:
    if (named := schema.get("format")) in _FORMATS:
        return _FORMATS[str(named)]
    least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
    return text.ljust(least, ".")[: int(most) if most is not None else None]
