"""A model endpoint, a workspace that uses it, and as many more as a test wants."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from model_server import KEY, MODEL, ModelServer
from template_workspace import Workspace


@pytest.fixture(scope="session")
def endpoint() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def model(endpoint: ModelServer) -> ModelServer:
    """The endpoint, as if nothing had happened yet."""
    endpoint.reset()
    return endpoint


@pytest.fixture(scope="session")
def make(endpoint: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workspace]:
    """A workspace that is not started yet."""

    def make(config: str = f"model: {MODEL}\n", **environment: str) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace") / "w"
        settings = "" if "runtime_config" in config else f"runtime_config: {{folder: {folder / 'work'}}}\n"
        usual = {"GOOGLE_GEMINI_BASE_URL": endpoint.url, "GEMINI_API_KEY": KEY}
        return Workspace(folder, config + settings, {**usual, **environment})

    return make


@pytest.fixture(scope="session")
def shared(make: Callable[..., Workspace]) -> Iterator[Workspace]:
    with make() as running:
        yield running


@pytest.fixture
def workspace(shared: Workspace, model: ModelServer) -> Workspace:
    """The one of all tests that leave it serving."""
    assert model.requests == []
    return shared


@pytest.fixture
def fresh(make: Callable[..., Workspace], model: ModelServer) -> Iterator[Workspace]:
    """One of the test's own."""
    assert model.requests == []
    with make() as running:
        yield running
