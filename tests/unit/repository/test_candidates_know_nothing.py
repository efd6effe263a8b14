"""What is proven must not know that it is: neither the runtime nor a template may behave otherwise at the gate."""

import re

import pytest

from tests.unit.repository.test_hygiene import ROOT, tracked

_SAYS_SO = re.compile(
    r"stand[-_]?in\b|\bmodel[-_]server\b|\bnonces?\b|\b(?:wsr-)?prob(?:e|es|ed|ing)\b|\bgates?\b"
    r"|\btests?\b|\btesting\b|\badapter_testing\b|\bpytest\b|\bunittest\b|this is a check",
    re.IGNORECASE,
)
_NO_CODE = {"LICENSE", ".dockerignore", "package-lock.json"}
_OF_TESTS = "workspace/adapter_testing/"
"""What tests of adapters inherit: it comes with the runtime, and nothing else of what is shipped may name it."""


def shipped() -> list[tuple[str, str]]:
    """Every file of the runtime and of the templates, but for tests of their own and what only lists files."""
    found = [path.relative_to(ROOT) for path in tracked()]
    return [
        (str(path), (ROOT / path).read_text(errors="replace"))
        for path in found
        if path.parts[0] in {"workspace", "templates"}
        and "tests" not in path.parts
        and path.name not in _NO_CODE
        and not str(path).startswith(_OF_TESTS)
    ]


def test_the_runtime_and_the_templates_mention_neither_gate_nor_stand_in_nor_tests() -> None:
    files = shipped()
    assert len(files) > 20
    assert [(name, found.group()) for name, text in files for found in _SAYS_SO.finditer(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "if WORKSPACE_ID.startswith('probe-')",
        "import stand_in",
        "in a test,",
        "the gate",
        "import adapter_testing",
    ],
)
def test_each_of_the_words_is_seen(text: str) -> None:
    assert _SAYS_SO.search(text)
