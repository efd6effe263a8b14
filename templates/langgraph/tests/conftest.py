"""A model endpoint and a workspace that uses it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from model_server import KEY, MODEL, ModelServer
from template_workspace import Workspace

CONFIG = f"name: tester\nmodel: {MODEL}\n"


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, model: ModelServer) -> Callable[..., Workspace]:
    """A workspace that is not started yet."""

    def make(config: str = CONFIG, **environment: str) -> Workspace:
        usual = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": KEY}
        return Workspace(tmp_path / "w", config, {**usual, **environment})

    return make


@pytest.fixture
def workspace(make: Callable[..., Workspace]) -> Iterator[Workspace]:
    with make() as running:
        yield running
