"""A model endpoint, a workspace that uses it, and as many more as a test wants.

The test module says which: `ENDPOINT` is the protocol of its framework, `SETTINGS` what config.yaml needs besides the model,
with `{work}` for the folder that the workspace runs in.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("molecule_runtime.adapter_testing")

from molecule_runtime.adapter_testing.model import MODEL, ModelServer  # noqa: E402 -- after the line above, which pytest wants before
from molecule_runtime.adapter_testing.process import Workspace  # noqa: E402 -- as above

TEMPLATE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def endpoint(request: pytest.FixtureRequest) -> Iterator[ModelServer]:
    with request.module.ENDPOINT() as server:
        yield server


@pytest.fixture
def model(endpoint: ModelServer) -> ModelServer:
    """The endpoint, as if nothing had happened yet."""
    endpoint.reset()
    return endpoint


@pytest.fixture(scope="module")
def make(
    request: pytest.FixtureRequest, endpoint: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Workspace]:
    """A workspace that is not started yet."""

    def make(config: str = "", **environment: str) -> Workspace:
        folder = tmp_path_factory.mktemp("workspace") / "w"
        usual = f"model: {MODEL}\n{request.module.SETTINGS.format(work=folder / 'work')}"
        return Workspace(TEMPLATE, folder, config or usual, {**endpoint.environment(), **environment})

    return make


@pytest.fixture(scope="module")
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
