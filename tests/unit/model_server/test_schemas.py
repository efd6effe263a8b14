"""What is made for a schema is what the schema takes."""

from typing import Any

import pytest

from controller.model_server.schemas import value_for

REFERRING = {
    "$defs": {"Inner": {"type": "object", "properties": {"a/b": {"type": "boolean"}}, "required": ["a/b"]}},
    "type": "object",
    "properties": {"inner": {"$ref": "#/$defs/Inner"}, "same": {"$ref": "#/$defs/Inner/properties/a~1b"}},
    "required": ["inner", "same"],
}
ENDLESS = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
LOOPING = {"$ref": "#"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "words"),
        ({"type": "string", "minLength": 7}, "words.."),
        ({"type": "string", "maxLength": 3}, "wor"),
        ({"type": "string", "format": "uri"}, "https://example.com/"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "number", "exclusiveMinimum": 4}, 5),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": "BOOLEAN"}, False),
        ({"type": "null"}, None),
        ({"enum": ["x", "y"]}, "x"),
        ({"const": 3}, 3),
        ({"type": "integer", "default": 9}, 9),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["words", "words"]),
        ({"type": "array"}, []),
        ({"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "integer"}}]}, []),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"type": "object"}]},
            {"a": 1},
        ),
        ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "words"}),
        (REFERRING, {"inner": {"a/b": False}, "same": False}),
    ],
)
def test_a_value_is_the_smallest_that_the_schema_takes(schema: dict[str, Any], value: object) -> None:
    assert value_for(schema, "words") == value


def test_a_schema_without_an_end_comes_to_one() -> None:
    value = value_for(ENDLESS, "words")
    assert str(value).count("next") > 3
    assert value_for(LOOPING, "words") is not None
    assert value_for({"$ref": "#/nowhere"}, "words") == "words"
    assert value_for("no schema", "words") is None
