"""A container registry: Debian's docker-registry on a free loopback port, which every engine accepts without TLS."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from tests.parts.ground import need
from tests.parts.servers import free_port, serving, status_of

_UP = frozenset({200, 401})


@contextmanager
def running_registry(
    folder: Path,
    *,
    users: Mapping[str, str] | None = None,
    port: int | None = None,
    notified: tuple[str, str] | None = None,
) -> Iterator[str]:
    """`host:port` of a registry that keeps its data in `folder` and allows deletion.

    Args:
        folder: holds configuration, log and data; give the same one again to find the same images.
        users: passwords by name; without it, everybody may push and pull.
        port: where to listen, to come back where it was; without it, a free one.
        notified: URL and bearer token of whom it tells of every push.

    Raises:
        PartError: it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port or free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": "shared by nobody"},
    }
    if notified:
        url, token = notified
        endpoint = {"name": "hook", "url": url, "timeout": "1s", "threshold": 3, "backoff": "1s"}
        headers = {"Authorization": [f"Bearer {token}"]}
        config["notifications"] = {"endpoints": [endpoint | {"headers": headers}]}
    if users:
        lines = [
            f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}"
            for name, word in users.items()
        ]
        (folder / "htpasswd").write_text("\n".join(lines) + "\n")
        config["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with serving(
        [need("docker-registry", package="docker-registry"), "serve", str(folder / "config.yml")],
        answers=lambda: status_of(f"http://{address}/v2/") in _UP,
        what="docker-registry",
        log=folder / "registry.log",
    ):
        yield address
