"""Docker hosts of one document: what one of them does is about its own containers."""

import asyncio
import secrets
from pathlib import Path

import pytest
import yaml

from controller.api.load import load
from controller.api.v1alpha1 import DockerHost
from controller.clients.docker import DockerEngine
from controller.model.actions import Replace
from controller.model.errors import NotFound
from controller.model.observed import Known
from controller.model.target import Barred
from controller.reconcile import host_targets
from controller.reconcile.host_targets import Host, HostTargets
from controller.standalone.session import open_session
from tests.contract.released import document_of
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


async def test_a_run_looks_at_the_containers_of_every_host_and_replaces_each_where_it_is(
    registry: str, engine: str, base_image: str, docker_prefix: str, tmp_path: Path
) -> None:
    far = tmp_path / "far.sock"
    far.symlink_to(engine.removeprefix("unix://"))  # one engine, and two hosts that lead to it
    file = document_of(tmp_path, repository=f"{registry}/t{secrets.token_hex(4)}", engine=engine)
    content = yaml.safe_load(file.read_text())
    labels: dict[str, dict[str, str]] = {"matchLabels": {}}
    content["spec"]["targets"]["dockerHosts"] = [
        {"name": name, "endpoint": at, "containerPrefix": f"{docker_prefix}{name}-", "selector": labels}
        for name, at in (("far", f"unix://{far}"), ("near", engine))
    ]
    file.write_text(yaml.safe_dump(content))
    async with DockerEngine(engine) as host:
        for name in ("near", "far"):
            await host.create_container(f"{docker_prefix}{name}-1", {"Image": base_image})
    async with open_session(file, state=tmp_path / "state", secrets=None) as session:
        world, document = session.world, session.document
        seen = (await world.observe(document, earlier=None)).targets
        assert isinstance(seen, Known)
        ids = {f"docker/{name}/{docker_prefix}{name}-1" for name in ("near", "far")}
        assert {target.id for target in seen.value} == ids
        for name in ids:
            end = Replace(name, "0.1.2", "echo", None, "it was begun")
            assert await world.perform(document, end) == "nothing was under way any more"
        with pytest.raises(NotFound, match="Engine near has no container x"):
            await world.perform(document, Replace("docker/near/x", "0.1.2", "echo", None, ""))
        content["spec"]["targets"]["dockerHosts"].pop()
        left = load(yaml.safe_dump(content), file="runtime.yaml")
        assert len(content["spec"]["targets"]["dockerHosts"]) == 1
        now = (await world.observe(left, earlier=None)).targets
    assert isinstance(now, Known)
    assert len(now.value) == 1, "of a host that left the document nothing is asked"
