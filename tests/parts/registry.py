"""Container registries on free loopback ports: Debian's docker-registry, and another implementation built from source.

Every engine accepts a loopback registry without TLS.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt

from tests.parts.certificate import Certificate
from tests.parts.go_program import go_program
from tests.parts.ground import need
from tests.parts.servers import free_port, serving, status_of
from tests.parts.token_server import TokenServer

_UP = frozenset({200, 400, 401})  # 400: plain HTTP to a TLS server
_SECOND = Path(__file__).with_name("second_registry")


@contextmanager
def running_registry(  # noqa: PLR0913 -- each is one way in which registries differ
    folder: Path,
    *,
    users: Mapping[str, str] | None = None,
    port: int | None = None,
    notified: tuple[str, str] | None = None,
    tls: Certificate | None = None,
    tokens: TokenServer | None = None,
    read_only: bool = False,
    disk_bytes: int | None = None,
    deletes: bool = True,
) -> Iterator[str]:
    """`host:port` of a docker-registry that keeps its data in `folder`.

    Args:
        folder: holds configuration, log and data; give the same one again to find the same images.
        users: passwords by name; without it, everybody may push and pull.
        port: where to listen, to come back where it was; without it, a free one.
        notified: URL and bearer token of whom it tells of every push.
        tls: what it identifies itself with; without it, plain HTTP.
        tokens: who gives the tokens that it asks for, in place of `users`.
        read_only: takes no writes, as during garbage collection.
        deletes: whether it allows deletion.
        disk_bytes: the size of a disk of its own, which is gone with it; without it, that of `folder`.

    Raises:
        PartError: it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port or free_port()}"
    storage: dict[str, Any] = {
        "filesystem": {"rootdirectory": str(folder / "data")},
        "delete": {"enabled": deletes},
    }
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": storage,
        "http": {"addr": address, "secret": "shared by nobody"},
    }
    if notified:
        url, token = notified
        endpoint = {"name": "hook", "url": url, "timeout": "1s", "threshold": 3, "backoff": "1s"}
        headers = {"Authorization": [f"Bearer {token}"]}
        config["notifications"] = {"endpoints": [endpoint | {"headers": headers}]}
    if users:
        write_htpasswd(folder, users)
        config["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}}
    if tls:
        config["http"]["tls"] = {"certificate": str(tls.file), "key": str(tls.key_file)}
    if tokens:
        config["auth"] = {"token": tokens.registry_settings}
    if read_only:
        storage["maintenance"] = {"readonly": {"enabled": True}}
    (folder / "config.yml").write_text(json.dumps(config))
    command = [need("docker-registry", package="docker-registry"), "serve", str(folder / "config.yml")]
    if disk_bytes:
        (folder / "data").mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o size={disk_bytes} disk {folder / "data"} && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", mount, "sh", *command]
    with serving(
        command,
        answers=lambda: status_of(f"http://{address}/v2/") in _UP,
        what="docker-registry",
        log=folder / "registry.log",
    ):
        yield address


def write_htpasswd(folder: Path, users: Mapping[str, str]) -> None:
    """Write the passwords of the registry in `folder`, which looks whether the file has changed."""
    lines = [
        f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for name, word in users.items()
    ]
    (folder / "htpasswd").write_text("\n".join(lines) + "\n")


@contextmanager
def running_second_registry(folder: Path) -> Iterator[str]:
    """`host:port` of an empty registry of another implementation, in memory; everybody may do everything.

    It goes on with an upload at any byte, which docker-registry does only at those that it has acknowledged.

    Raises:
        PartError: it could not be built, or did not come up.
    """
    address = f"127.0.0.1:{free_port()}"
    with serving(
        [str(go_program(_SECOND)), address],
        answers=lambda: status_of(f"http://{address}/v2/") in _UP,
        what="the second registry",
        log=folder / "second.log",
    ):
        yield address
