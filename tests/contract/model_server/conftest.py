"""A stand-in model with one probe, and the environment in which the vendors' own clients find it."""

from collections.abc import AsyncIterator

import pytest

from controller.model_server.script import Script
from controller.model_server.server import ModelServer

NONCE = "5ca1ab1e5ca1ab1e"


@pytest.fixture
def script() -> Script:
    return Script(nonce=NONCE)


@pytest.fixture
async def stand_in(script: Script, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    """The server; this process's environment is that of its one candidate."""
    server = ModelServer()
    await server.listen("127.0.0.1")
    try:
        with server.admitted(script, {}) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            yield server
    finally:
        await server.close()
