"""An engine of another machine: asked over TLS, by those that it knows, when it is the one that they know."""

import os
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from controller.clients.docker import DockerEngine, EngineTls
from controller.model.container import EngineEventKind
from controller.model.errors import Terminal, Transient
from tests.parts.engine import OwnEngine, own_engine
from tests.parts.servers import free_port
from tests.parts.tls import Authority, Signed, write

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Remote:
    endpoint: str
    authority: Authority

    def engine(
        self, folder: Path, client: Signed | None = None, authority: Authority | None = None
    ) -> DockerEngine:
        """As somebody with these certificates asks it."""
        known = client or self.authority.sign("operator")
        files = write(folder / "host", (authority or self.authority).secret(known))
        return DockerEngine(self.endpoint, host="far", tls=EngineTls.of(files, named="it"))


@pytest.fixture(scope="module")
def remote(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A real engine that listens on TLS; without networks, for it is only asked."""
    authority, port = Authority(), free_port()
    server = authority.sign("engine", address=ADDRESS)
    keys = write(tmp_path_factory.mktemp("tls"), authority.secret(server))
    run = Path(f"/run/ws-tls-{os.getpid()}")
    name = f"wsrtls{os.getpid()}"
    bridge = docker.DockerClient(base_url=engine).networks.create(
        name, options={"com.docker.network.bridge.name": name}
    )
    options = (
        f"--host=tcp://{ADDRESS}:{port}",
        "--tlsverify",
        f"--tlscacert={keys['ca.crt']}",
        f"--tlscert={keys['tls.crt']}",
        f"--tlskey={keys['tls.key']}",
        f"--bridge={name}",
        "--iptables=false",
        "--ip6tables=false",
    )
    try:
        with own_engine(OwnEngine(tmp_path_factory.mktemp("engine"), run, options=options)):
            yield Remote(f"tcp://{ADDRESS}:{port}", authority)
    finally:
        shutil.rmtree(run, ignore_errors=True)
        bridge.remove()


async def test_who_has_the_certificates_asks_it_and_hears_its_events(remote: Remote, tmp_path: Path) -> None:
    async with remote.engine(tmp_path) as engine:
        assert await engine.containers() == ()
        assert not engine.is_local
        await engine.prove_up()
        async with aclosing(engine.events()) as events:
            assert (await anext(events)).kind is EngineEventKind.CONNECTED


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("another engine's authority", "certificate verify failed"),
        ("expired", "certificate"),
        ("of nobody that it knows", "certificate"),
    ],
)
async def test_who_has_others_knows_nothing_of_its_containers(
    remote: Remote, tmp_path: Path, case: str, said: str
) -> None:
    other = Authority("others")
    client, authority = {
        "another engine's authority": (remote.authority.sign("operator"), other),
        "expired": (remote.authority.sign("operator", expired=True), remote.authority),
        "of nobody that it knows": (other.sign("operator"), remote.authority),
    }[case]
    async with remote.engine(tmp_path, client, authority) as engine:
        with pytest.raises(Transient, match=said):
            await engine.containers()


def test_a_secret_that_lacks_a_file_is_told_with_its_name() -> None:
    with pytest.raises(Terminal) as refused:
        EngineTls.of({"ca.crt": Path("ca.crt")}, named="tlsSecretName names Secret far")
    assert refused.value.reason == "SecretIncomplete"
    assert str(refused.value) == (
        "tlsSecretName names Secret far, which has no tls.crt and no tls.key. Write there ca.crt, the authority of the engine's"
        " certificate, and tls.crt and tls.key, whom it lets in."
    )
