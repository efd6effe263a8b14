"""Docker hosts of one document: what one of them does is about its own containers."""

import asyncio
from pathlib import Path

import pytest

from controller.api.load import load
from controller.api.v1alpha1 import DockerHost
from controller.clients.docker import DockerEngine
from controller.model.target import Barred
from controller.reconcile import host_targets
from controller.reconcile.host_targets import Host, HostTargets
from tests.unit.api.documents import VALID


async def test_a_host_that_says_nothing_is_unseen_before_the_other_targets_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_targets, "_HOST_SECONDS", 0.3)
    socket, asked = tmp_path / "silent.sock", asyncio.Event()
    callers: list[asyncio.StreamWriter] = []

    def listen(_: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        callers.append(caller)
        asked.set()

    async with DockerEngine(f"unix://{socket}", host="far") as engine:
        silent = await asyncio.start_unix_server(listen, socket)
        try:
            hosts = HostTargets(
                {"local": Host(DockerHost(name="local", endpoint=f"unix://{socket}"), engine)}
            )
            async with asyncio.timeout(20):
                (target,) = await hosts.observe(load(VALID, file="runtime.yaml"))
        finally:
            silent.close()
            for caller in callers:
                caller.close()
    assert asked.is_set()
    assert target.id == "docker/local/*"
    assert isinstance(target.barred, Barred)
    assert target.barred.cause == "it did not answer within 0.3 s"
