"""Every word that a status can show has a meaning in docs/status.md."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from controller.api import meanings
from controller.api.conditions import ConditionType, Reason
from controller.api.run_meanings import RUN_REASONS
from controller.api.status import TemplateStatus

ROOT = Path(__file__).resolve().parents[3]
OF_COMMANDS = {
    # asked for by `wsr release`, `bump`, `plan` and `refresh` alone; a loop never gets them
    "controller/clients/_git_process.py",
    "controller/clients/admin.py",
    "controller/clients/git.py",
    "controller/plan/release.py",
}
WORDS_OF_COMMANDS = {
    "GitHubRefused",
    "CommitUnknown",
    "NotFound",
    "DeletionRefused",
    "AgentRefused",
    "ListenFailed",
}
"""The first three end `wsr release`; a deletion fails beside the status, and an agent's refusal ends as GateFailed; the last one ends
the operator at its start."""
NEVER_OF_A_LOOP = {
    # how a loop calls its runs is not for people to get wrong
    "BadPlace",
    "BadURL",
    "InvalidInputs",
    "WrongUse",
    # `wsr verify`
    "NoIndex",
    "NothingRemoved",
    "WrongWheel",
}


def words(file: Path, called: str) -> Iterator[str]:
    """The literal first argument of each call."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == called:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.isalnum():
                yield first.value


def test_every_condition_and_reason_has_a_meaning() -> None:
    assert set(meanings.CONDITIONS) == set(ConditionType)
    assert set(meanings.REASONS) == set(Reason)


def test_every_state_of_a_template_has_a_meaning() -> None:
    assert set(meanings.TEMPLATE_STATES) == set(get_args(TemplateStatus.model_fields["state"].annotation))


@pytest.mark.parametrize("room", ["act", "clients", "model", "observe", "operator", "plan", "reconcile"])
def test_what_stops_an_action_or_a_reading_is_a_known_reason(room: str) -> None:
    files = [
        file
        for file in sorted((ROOT / "controller" / room).rglob("*.py"))
        if str(file.relative_to(ROOT)) not in OF_COMMANDS
    ]
    assert files
    found = {word for file in files for word in words(file, "Terminal")}
    assert found - WORDS_OF_COMMANDS <= set(Reason)


def test_what_a_secret_may_lack_is_a_known_reason() -> None:
    found = set(words(ROOT / "controller/secret_files.py", "Terminal"))
    assert found
    assert found <= set(Reason)


def test_what_a_builder_run_refuses_is_a_known_reason() -> None:
    files = [
        file
        for file in sorted((ROOT / "builder").rglob("*.py"))
        if file.parent.name
        not in {"oci", "index"}  # they raise errors of their own, translated at the border
    ]
    found = {word for file in files for word in words(file, "Refused")}
    assert found - NEVER_OF_A_LOOP <= set(RUN_REASONS)
    assert set(RUN_REASONS) <= found | {
        "ImageMissing"
    }  # which `builder.stages.promote` raises in a word of its own


def test_every_reason_to_build_an_image_has_a_meaning() -> None:
    texts = "".join(file.read_text() for file in (ROOT / "controller/plan/changes").glob("*.py"))
    assert all(f'"{word}"' in texts for word in meanings.CHANGES)
    found = {
        word for file in (ROOT / "controller/plan/changes").glob("*.py") for word in words(file, "Change")
    }
    assert found <= set(meanings.CHANGES)
