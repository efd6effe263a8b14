"""The registries that the OCI client is held to: two implementations, and each way to be let in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.oci import Client, Credential, FixedCredential
from tests.parts.certificate import make_certificate
from tests.parts.registry import running_registry, running_second_registry
from tests.parts.token_server import running_token_server

ROBOT = Credential("robot", "right")


@dataclass(frozen=True)
class Place:
    """One registry and how it is reached."""

    address: str
    insecure: bool = True
    ca_file: Path | None = None
    credential: Credential | None = None

    def client(self, **options: int) -> Client:
        """A client that this registry lets in."""
        credentials = FixedCredential(self.address, self.credential) if self.credential else None
        return Client(credentials, insecure=self.insecure, ca_file=self.ca_file, **options)


@contextmanager
def _open(folder: Path) -> Iterator[Place]:
    with running_registry(folder) as address:
        yield Place(address)


@contextmanager
def _htpasswd_and_tls(folder: Path) -> Iterator[Place]:
    certificate = make_certificate(folder)
    with running_registry(folder, users={ROBOT.username: ROBOT.password}, tls=certificate) as address:
        yield Place(address, insecure=False, ca_file=certificate.file, credential=ROBOT)


@contextmanager
def _tokens(folder: Path) -> Iterator[Place]:
    with (
        running_token_server(folder / "tokens", **{ROBOT.username: ROBOT.password}) as tokens,
        running_registry(folder, tokens=tokens) as address,
    ):
        yield Place(address, credential=ROBOT)


@contextmanager
def _second(folder: Path) -> Iterator[Place]:
    with running_second_registry(folder) as address:
        yield Place(address)


PLACES: Mapping[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "docker-registry": _open,
    "docker-registry, htpasswd and TLS": _htpasswd_and_tls,
    "docker-registry, tokens": _tokens,
    "another implementation": _second,
}
