"""Unit tests of the builder prove with the Python that runs them, and start no other: tests/integration has those."""

import pytest

from builder.stages import _proof_pythons, prove


@pytest.fixture(autouse=True)
def _this_python_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_proof_pythons, "installed", lambda _: {})
    monkeypatch.setattr(prove, "OLDEST_PYTHON", _proof_pythons.HERE)
