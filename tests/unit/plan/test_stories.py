"""Rollouts read as they are written in tests/golden/rollouts; `UPDATE_GOLDEN=1` writes them anew, for review."""

import os
from pathlib import Path

import pytest

from tests.unit.simulator.stories import STORIES as ROLLOUTS
from tests.unit.simulator.troubles import TROUBLES

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rollouts"
STORIES = ROLLOUTS | TROUBLES


@pytest.mark.parametrize("name", STORIES)
def test_the_story_goes_as_it_is_written(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    text = STORIES[name].text()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; look at it, then UPDATE_GOLDEN=1"


def test_every_written_story_is_told() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(STORIES)


def test_a_story_is_the_same_every_time() -> None:
    assert STORIES["interrupted"].text() == STORIES["interrupted"].text()
