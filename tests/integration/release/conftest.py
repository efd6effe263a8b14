"""Fixtures: a repository to release from, an index to agree with, and a GitHub to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.release.ground import Ground
from tests.parts.github_api import GitHubApi, running_github_api
from tests.parts.index import running_pypiserver


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


@pytest.fixture
def github(ground: Ground) -> Iterator[GitHubApi]:
    """A GitHub that knows the repository; `wsr` in `ground` is told as a workflow's runner tells it."""
    with running_github_api() as api:
        api.token = "reads-only"  # noqa: S105 -- of this server only
        ground.environment |= {
            "GITHUB_API_URL": api.url,
            "GITHUB_REPOSITORY": api.repository,
            "GITHUB_TOKEN": api.token,
        }
        yield api


@pytest.fixture(scope="module")
def running_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("index")
    with running_pypiserver(folder, address="127.0.0.1") as running:
        yield running.simple_url, folder / "packages"


@pytest.fixture
def index(running_index: tuple[str, Path]) -> tuple[str, Path]:
    """A real index that serves nothing yet; versions are put into its folder."""
    for file in running_index[1].iterdir():
        file.unlink()
    return running_index
