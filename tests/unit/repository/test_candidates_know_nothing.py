"""What is proven must not know that it is: neither the runtime nor a template may behave otherwise at the gate."""

import re

import pytest

from tests.unit.repository.test_hygiene import ROOT, tracked

_SAYS_SO = re.compile(
    r"stand[-_]?in\b|\bmodel[-_]server\b|\bnonces?\b|\b(?:wsr-)?prob(?:e|es|ed|ing)\b|\bgates?\b"
    r"|\btests?\b|\btesting\b|\bpytest\b|\bunittest\b|this is a check",
    re.IGNORECASE,
)
_NO_CODE = {"LICENSE", ".dockerignore", "package-lock.json"}
_FOR_AUTHORS = "adapter_testing"
"""The tests that every template inherits come with the runtime, and are loaded by nobody who serves."""


def shipped() -> list[tuple[str, str]]:
    """Every file of the runtime and of the templates, but for tests of their own and what only lists files."""
    found = [path.relative_to(ROOT) for path in tracked()]
    return [
        (str(path), (ROOT / path).read_text(errors="replace"))
        for path in found
        if path.parts[0] in {"workspace", "templates"}
        and not {"tests", _FOR_AUTHORS} & set(path.parts)
        and path.name not in _NO_CODE
    ]


def test_the_runtime_and_the_templates_mention_neither_gate_nor_stand_in_nor_tests() -> None:
    files = shipped()
    assert len(files) > 20
    assert [(name, found.group()) for name, text in files for found in _SAYS_SO.finditer(text)] == []


def test_nobody_who_serves_loads_what_templates_are_tested_with() -> None:
    assert [name for name, text in shipped() if _FOR_AUTHORS in text] == []


@pytest.mark.parametrize(
    "text", ["if WORKSPACE_ID.startswith('probe-')", "import stand_in", "in a test,", "the gate"]
)
def test_each_of_the_words_is_seen(text: str) -> None:
    assert _SAYS_SO.search(text)
