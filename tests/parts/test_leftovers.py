"""Cleaning up after a test takes what carries its prefix, and leaves everything else."""

import io
import secrets
import tarfile
from collections.abc import Iterator

import docker
import pytest
from docker.errors import NotFound

from tests.parts.leftovers import image_names, remove_leftovers
from tests.parts.registry import running_registry


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


def make(client: docker.DockerClient, image: str, prefix: str) -> None:
    network = client.networks.create(f"{prefix}net")
    volume = client.volumes.create(f"{prefix}data")
    mounts = {volume.name: {"bind": "/data", "mode": "rw"}}
    for name in (f"{prefix}a", f"wsr-prev-{prefix}a"):
        client.containers.run(
            image,
            ["sleep", "60"],
            name=name,
            network=network.name,
            volumes=mounts,
            detach=True,
            stop_signal="KILL",
        )
    client.images.get(image).tag(f"{prefix}image", "1")
    client.images.get(image).tag(f"127.0.0.1:5000/{prefix}image", "1")


def names(client: docker.DockerClient, prefix: str) -> set[str]:
    found = [container.name for container in client.containers.list(all=True, ignore_removed=True)]
    found += [network.name for network in client.networks.list()]
    found += [volume.name for volume in client.volumes.list()]
    found += image_names(client)
    return {name for name in found if name and prefix in name}


def test_only_what_carries_the_prefix_is_removed(
    client: docker.DockerClient, engine: str, base_image: str, docker_prefix: str
) -> None:
    doomed, kept = f"{docker_prefix}x-", f"{docker_prefix}y-"
    make(client, base_image, doomed)
    make(client, base_image, kept)
    untouched = names(client, kept)
    assert len(untouched) == 6
    remove_leftovers(engine, doomed)
    assert names(client, doomed) == set()
    assert names(client, kept) == untouched


def test_a_volume_without_a_name_that_was_handed_on_goes_with_who_has_it_last(
    client: docker.DockerClient, engine: str, base_image: str, docker_prefix: str
) -> None:
    volume = secrets.token_hex(32)
    mounts = {volume: {"bind": "/data", "mode": "rw"}}
    for name in ("x-old", "y-new"):
        client.containers.create(base_image, name=f"{docker_prefix}{name}", volumes=mounts)
    remove_leftovers(engine, f"{docker_prefix}x-")
    assert client.volumes.get(volume).name == volume, "somebody else has it"
    remove_leftovers(engine, f"{docker_prefix}y-")
    with pytest.raises(NotFound):
        client.volumes.get(volume)


def test_a_registry_with_users_turns_others_away(
    client: docker.DockerClient, docker_prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    password = secrets.token_urlsafe(8)
    with running_registry(tmp_path_factory.mktemp("closed"), users={"ci": password}) as address:
        reference = f"{address}/{docker_prefix}image"
        nothing = io.BytesIO()
        tarfile.open(fileobj=nothing, mode="w").close()
        client.api.import_image_from_data(nothing.getvalue(), repository=reference, tag="1")
        refused = "".join(map(str, client.images.push(reference, "1", stream=True, decode=True)))
        assert "no basic auth credentials" in refused
        right = {"username": "ci", "password": password}
        layers = client.images.push(reference, "1", stream=True, decode=True, auth_config=right)
        assert "aux" in "".join(map(str, layers))
