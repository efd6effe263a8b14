"""A model endpoint and a workspace that uses it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from model_server import KEY, MODEL, ModelServer
from template_workspace import Workspace


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, model: ModelServer) -> Callable[..., Workspace]:
    """A workspace that is not started yet."""

    def make(config: str = f"model: {MODEL}\n", **environment: str) -> Workspace:
        settings = (
            "" if "runtime_config" in config else f"runtime_config: {{folder: {tmp_path / 'w' / 'work'}}}\n"
        )
        usual = {"GOOGLE_GEMINI_BASE_URL": model.url, "GEMINI_API_KEY": KEY}
        return Workspace(tmp_path / "w", config + settings, {**usual, **environment})

    return make


@pytest.fixture
def workspace(make: Callable[..., Workspace]) -> Iterator[Workspace]:
    with make() as running:
        yield running
