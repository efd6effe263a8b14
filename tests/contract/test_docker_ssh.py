"""An engine of another machine over ssh: nothing of ours is there, and a connection that ends is made anew."""

import asyncio
import getpass
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest

from controller.api.load import load
from controller.clients.docker import DockerEngine
from controller.clients.ssh_tunnel import SshTunnel
from controller.model.container import EngineEventKind
from controller.model.errors import Terminal, Transient
from controller.model.target import Barred
from controller.reconcile.host_targets import open_hosts
from controller.settings import Settings
from tests.parts.ssh_server import SshServer, make_key, running_ssh_server
from tests.unit.api.documents import VALID


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_ssh_server(tmp_path_factory.mktemp("ssh")) as serving:
        yield serving


def secret(folder: Path, **keys: str) -> Mapping[str, Path]:
    files = {}
    for key, content in keys.items():
        file = folder / "far" / key.replace("ssh_", "ssh-")
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(content)
        files[file.name] = file
    return files


@pytest.fixture
def files(server: SshServer, tmp_path: Path) -> Mapping[str, Path]:
    return secret(tmp_path, ssh_privatekey=server.private_key, known_hosts=server.known_hosts)


@pytest.fixture
def address(server: SshServer, engine: str) -> str:
    return f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{engine.removeprefix('unix://')}"


def children_with(words: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", "--", words], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


async def test_the_engine_is_asked_and_heard_through_it_also_when_it_was_cut_and_no_child_is_left(
    address: str, files: Mapping[str, Path]
) -> None:
    async with asyncio.timeout(60):
        async with SshTunnel(address, files, named="it") as tunnel:
            await tunnel.stands()
            forward = f"-L {tunnel.endpoint.removeprefix('unix://')}:"
            async with DockerEngine(tunnel.endpoint, host="far", tunnelled=True) as engine:
                assert not engine.is_local
                await engine.prove_up()
                async with aclosing(engine.events()) as events:
                    assert (await anext(events)).kind is EngineEventKind.CONNECTED
                (child,) = children_with(forward)
                os.kill(child, signal.SIGKILL)
                while True:
                    try:
                        await tunnel.stands()
                        await engine.ping()
                        if children_with(forward) not in ([], [child]):
                            break
                    except Transient:
                        pass
                    await asyncio.sleep(0.05)
    assert children_with(forward) == []
    assert not Path(tunnel.endpoint.removeprefix("unix://")).parent.exists()


async def test_who_is_not_let_in_or_meets_another_host_is_told_in_the_words_of_ssh(
    address: str, server: SshServer, files: Mapping[str, Path], tmp_path: Path
) -> None:
    for name in ("stranger", "meets another"):
        (tmp_path / name).mkdir()
    key, line = make_key(tmp_path / "key")
    other = f"[127.0.0.1]:{server.port} {line}"
    cases = {
        "Permission denied (publickey": secret(
            tmp_path / "stranger", ssh_privatekey=key, known_hosts=server.known_hosts
        ),
        "Host key verification failed": {**files, **secret(tmp_path / "meets another", known_hosts=other)},
    }
    for words, shown in cases.items():
        async with asyncio.timeout(60), SshTunnel(address, shown, named="it") as tunnel:
            with pytest.raises(Transient) as refused:
                await tunnel.stands()
            assert str(refused.value).startswith("Could not reach ")
            assert words in str(refused.value)


def test_a_secret_that_lacks_a_file_is_told_with_its_name(address: str) -> None:
    with pytest.raises(Terminal) as refused:
        SshTunnel(address, {}, named="sshSecretName names Secret far")
    assert refused.value.reason == "SecretIncomplete"
    assert refused.value.message == (
        "sshSecretName names Secret far, which has no ssh-privatekey and no known_hosts."
    )


async def test_a_host_of_a_document_is_seen_by_ssh_and_one_that_is_not_let_in_is_named(
    address: str, files: Mapping[str, Path], tmp_path: Path, docker_prefix: str
) -> None:
    del files
    host = f"{{name: local, endpoint: '{address}', sshSecretName: far, containerPrefix: {docker_prefix}}}"
    document = load(
        VALID.replace("{name: local, endpoint: unix:///var/run/docker.sock}", host), file="runtime.yaml"
    )
    settings = Settings(
        state_dir=tmp_path, docker_host="unix:///none", docker_config=tmp_path, secrets_dir=tmp_path
    )
    async with asyncio.timeout(60):
        async with open_hosts(document, settings, {}) as hosts:
            assert await hosts.observe(document) == ()
            assert [engine.is_local for engine in hosts.engines] == [False]
        (tmp_path / "far" / "known_hosts").write_text("")
        async with open_hosts(document, settings, {}) as hosts:
            (target,) = await hosts.observe(document)
    assert isinstance(target.barred, Barred)
    assert target.barred.cause.endswith("by ssh: Host key verification failed")
