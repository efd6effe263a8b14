"""Serves git repositories over ssh by Debian's own sshd, to whoever has the key."""

import getpass
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.parts.ground import need
from tests.parts.servers import free_port, serving


@dataclass(frozen=True)
class SshServer:
    """Its port on loopback, the private key that it lets in, and its own line of known_hosts."""

    port: int
    private_key: str
    known_hosts: str

    def url(self, folder: Path) -> str:
        """The address of a repository of this machine."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{folder}"


@contextmanager
def running_ssh_server(folder: Path) -> Iterator[SshServer]:
    """Serve on loopback until the block ends; keys and log lie in `folder`."""
    sshd = need("sshd", package="openssh-server")
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in, as its unit makes it
    keys = {name: make_key(folder / name) for name in ("host", "user")}
    port = free_port()
    (folder / "authorized_keys").write_text(keys["user"][1])
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": "none",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",
        "UsePAM": "no",
    }
    configuration = folder / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    command = [sshd, "-D", "-e", "-f", str(configuration)]
    with serving(command, answers=lambda: _greets(port), what="sshd", log=folder / "sshd.log"):
        yield SshServer(port, keys["user"][0], f"[127.0.0.1]:{port} {keys['host'][1]}")


def make_key(file: Path, password: str = "") -> tuple[str, str]:
    """Make a key pair and return the private and the public one as their files hold them."""
    need("ssh", package="openssh-client")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", password, "-C", "tests", "-f", str(file)], check=True
    )
    return file.read_text(), file.with_suffix(".pub").read_text()


def _greets(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        return connection.recv(4) == b"SSH-"
    return False
