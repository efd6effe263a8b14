"""One agent on the echo adapter, for all statements."""

import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.agent import Agent, Webhooks
from tests.parts.ground import REPOSITORY

sys.path.append(str(REPOSITORY / "workspace" / "tests"))

from live_workspace import Launcher


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with (
        Launcher(tmp_path_factory.mktemp("agent")) as launch,
        Webhooks() as webhooks,
        httpx.Client(timeout=30, headers={"Connection": "close"}) as http,
    ):
        yield Agent(launch(config="a2a: {max_body_bytes: 65536}\n").url, http, webhooks)
