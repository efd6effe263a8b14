"""Whatever stands anywhere in a document is taken or refused in our own words."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.load import InvalidDocument, load
from controller.api.patterns import PATTERN_WORDS
from controller.api.v1alpha1 import WorkspaceRuntime
from tests.unit.api.documents import VALID, refusal


def parts(schema: object) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def test_every_pattern_of_the_document_has_words() -> None:
    patterns = {part["pattern"] for part in parts(WorkspaceRuntime.model_json_schema()) if "pattern" in part}
    matched = {pattern for pattern in patterns if pattern.startswith("^(")}
    by_code = matched - set(PATTERN_WORDS)  # as `matched` writes them: code has the words
    assert patterns - by_code == set(PATTERN_WORDS)


values = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 10**6), st.floats(-1, 9), st.text(max_size=3), st.dates()
)


anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


SAMPLE = yaml.safe_load(VALID)


@given(place=st.sampled_from(list(places(SAMPLE))), value=anything)
@settings(max_examples=40, deadline=None)
def test_whatever_stands_anywhere_is_taken_or_refused_in_our_own_words(
    place: tuple[str | int, ...], value: object
) -> None:
    document = deepcopy(SAMPLE)
    parent = document
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    try:
        load(yaml.safe_dump(document, sort_keys=False), file="runtime.yaml")
    except InvalidDocument as error:
        for line in str(error).splitlines():
            assert re.match(r"runtime\.yaml:[0-9]+: ", line)
            assert "should" not in line


def test_a_field_with_an_unprintable_name_does_not_break_the_line_of_its_message() -> None:
    text = VALID.replace("  source:", '  "a\\x1eb": 1\n  source:')
    assert (
        refusal(text)
        .splitlines()[0]
        .startswith("runtime.yaml:6: spec.'a\\x1eb': unknown field; known here: ")
    )
