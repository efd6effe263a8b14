"""A second Docker Engine that listens on TLS, as that of another machine does, for those whom its authority has signed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.parts.engine import OwnEngine, own_engine
from tests.parts.servers import free_port
from tests.parts.tls import Authority, write

_ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class TlsEngine:
    """Where it listens on TLS, who signs whom it lets in, and where this machine asks it without."""

    address: str
    authority: Authority
    socket: str

    @property
    def endpoint(self) -> str:
        """Its address as a document has it."""
        return f"tcp://{self.address}"


@contextmanager
def tls_engine(engine: str, folder: Path) -> Iterator[TlsEngine]:
    """Run it, on a bridge that `engine` made: it keeps off the packet filter, so that its containers reach nobody."""
    authority, port = Authority(), free_port()
    keys = write(folder / "tls", authority.secret(authority.sign("engine", address=_ADDRESS)))
    run = Path(f"/run/ws-tls-{os.getpid()}")
    name = f"wsrtls{os.getpid()}"
    client = docker.DockerClient(base_url=engine)
    bridge = client.networks.create(name, options={"com.docker.network.bridge.name": name})
    options = (
        f"--host=tcp://{_ADDRESS}:{port}",
        "--tlsverify",
        f"--tlscacert={keys['ca.crt']}",
        f"--tlscert={keys['tls.crt']}",
        f"--tlskey={keys['tls.key']}",
        f"--bridge={name}",
        "--iptables=false",
        "--ip6tables=false",
    )
    try:
        with own_engine(OwnEngine(folder / "engine", run, options=options)) as socket:
            yield TlsEngine(f"{_ADDRESS}:{port}", authority, socket)
    finally:
        shutil.rmtree(run, ignore_errors=True)
        bridge.remove()
        client.close()
