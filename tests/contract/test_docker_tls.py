"""An engine of another machine: asked over TLS, by those that it knows, when it is the one that they know."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from controller.clients.docker import DockerEngine, EngineTls
from controller.model.container import EngineEventKind
from controller.model.errors import Terminal, Transient
from tests.parts.tls import Authority, Signed, write
from tests.parts.tls_engine import TlsEngine, tls_engine


@pytest.fixture(scope="module")
def remote(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEngine]:
    """A real engine that listens on TLS."""
    with tls_engine(engine, tmp_path_factory.mktemp("engine")) as made:
        yield made


def asked_by(
    remote: TlsEngine, folder: Path, client: Signed | None = None, authority: Authority | None = None
) -> DockerEngine:
    """The engine as somebody with these certificates asks it."""
    known = client or remote.authority.sign("operator")
    files = write(folder / "host", (authority or remote.authority).secret(known))
    return DockerEngine(remote.endpoint, host="far", tls=EngineTls.of(files, named="it"))


async def test_who_has_the_certificates_asks_it_and_hears_its_events(
    remote: TlsEngine, tmp_path: Path
) -> None:
    async with asked_by(remote, tmp_path) as engine:
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
    remote: TlsEngine, tmp_path: Path, case: str, said: str
) -> None:
    other = Authority("others")
    client, authority = {
        "another engine's authority": (remote.authority.sign("operator"), other),
        "expired": (remote.authority.sign("operator", expired=True), remote.authority),
        "of nobody that it knows": (other.sign("operator"), remote.authority),
    }[case]
    async with asked_by(remote, tmp_path, client, authority) as engine:
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
