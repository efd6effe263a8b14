"""What the report of every demo must say, wherever it plays."""

from typing import Any

TWO_LOOKS_SECONDS = 0.4
"""Onlookers look five times a second, each for itself: the one of the later event may have seen it first."""


def assert_told(seen: dict[str, Any]) -> None:
    """The versions, the task that was not cut, the version that was stopped, and the way back."""
    assert (seen["from"], seen["to"], seen["rolledBack"]) == ("0.1.0", "0.1.1", {"to": "0.1.0"})
    assert seen["tasksCut"] == 0
    assert seen["tasksFinished"] >= 1, "a slow machine takes more than one to stay busy"
    assert seen["published"] == ["0.1.0", "0.1.1"]
    assert seen["blocked"]["version"] == "0.1.2"
    assert seen["blocked"]["template"] == "greeter"
    assert "Exchange" in seen["blocked"]["reason"]
