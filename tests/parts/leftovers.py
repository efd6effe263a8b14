"""Remove what a test made in the engine, found by the test's own name prefix and by nothing else."""

import re
from contextlib import suppress

import docker
from docker.errors import APIError, NotFound

# A replacement under way lives under these names; its rest belongs to the test whose container was replaced.
_UNDER_WAY = ("", "wsr-next-", "wsr-prev-")
_UNNAMED = re.compile(r"[0-9a-f]{64}")


def image_names(client: docker.DockerClient) -> list[str]:
    """The names of all images. Rows, not `images.list()`: that inspects each one, and fails over what goes meanwhile."""
    return [name for row in client.api.images() for name in row["RepoTags"] or ()]


def remove_leftovers(endpoint: str, prefix: str) -> None:
    """Remove containers with their volumes without a name, then networks, volumes and image tags that start with `prefix`.

    An image counts by its repository name, a registry's `host:port/` in front of it not counted.
    """
    client = docker.DockerClient(base_url=endpoint)
    mine = tuple(f"/{state}{prefix}" for state in _UNDER_WAY)
    unnamed: set[str] = set()
    try:
        # Rows, not `containers.list()` and `images.list()`: those inspect each one, and fail over what goes meanwhile.
        for row in client.api.containers(all=True):
            if any(name.startswith(mine) for name in row["Names"] or ()):
                unnamed |= {mount.get("Name", "") for mount in row["Mounts"]}
                with suppress(NotFound):
                    client.api.remove_container(row["Id"], v=True, force=True)
        for name in filter(_UNNAMED.fullmatch, unnamed):
            # Of a successor the engine takes them for named ones, which stay when it goes; those of others are in use.
            with suppress(APIError):
                client.api.remove_volume(name)
        for network in client.networks.list():
            if (network.name or "").startswith(prefix):
                # 20.10 may keep a phantom endpoint after parallel recreation; only its restart frees the network then.
                with suppress(APIError):
                    network.remove()
        for volume in client.volumes.list():
            if volume.name.startswith(prefix):
                with suppress(NotFound):
                    volume.remove(force=True)
        _untag(client, prefix)
    finally:
        client.close()


def _untag(client: docker.DockerClient, prefix: str) -> None:
    for row in client.api.images():
        for name in (*(row["RepoTags"] or ()), *(row["RepoDigests"] or ())):
            if _without_registry(name).startswith(prefix):
                with suppress(APIError):
                    client.images.remove(name, force=True)


def _without_registry(name: str) -> str:
    """Drop `host:port/`: the first part is a host only when it has a dot or a colon, or is localhost."""
    head, slash, rest = name.partition("/")
    return rest if slash and (head == "localhost" or set(".:") & set(head)) else name
