"""Fixtures: a repository to release from, and a GitHub to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.release.ground import Ground
from tests.parts.github_api import GitHubApi, running_github_api


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
