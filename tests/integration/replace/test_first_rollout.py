"""Containers that somebody else made: of the chain before ours, or living in the network of another one."""

# ruff: noqa: PLR0913, PLR0917 -- fixtures are parameters

from collections.abc import Iterator
from typing import Any

import docker
import pytest

from controller.act.replace import replace
from controller.api.names import LABEL_CREATE_SPEC
from controller.clients.docker import DockerEngine
from controller.model.create_spec import CreateRecord
from controller.model.replacement import Replaced, StillBusy
from controller.plan.carry_over import unsafe_shape
from tests.integration.replace.workspaces import Workspace
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage, StandIns


@pytest.fixture
def moved(client: docker.DockerClient, images: StandIns) -> Iterator[tuple[str, StandInImage]]:
    """A tag that is about to move, and the image that it stands for until then."""
    old = images.image("0.9.0", extra='CMD ["sleep", "600"]\nENV MODE=of-the-image')
    tag = f"{images.repository}:latest"
    client.images.get(old.id).tag(images.repository, "latest")
    yield tag, old
    client.images.remove(tag, force=True)


async def test_one_of_the_old_chain_goes_through_its_first_rollout_and_drains_in_the_next(
    host: DockerEngine,
    client: docker.DockerClient,
    images: StandIns,
    new_image: StandInImage,
    moved: tuple[str, StandInImage],
    docker_prefix: str,
) -> None:
    tag, old = moved
    name = f"{docker_prefix}ws-0123456789ab"
    body: dict[str, Any] = {
        "Image": tag,
        "Env": ["WORKSPACE_ID=0123456789ab", "WORKSPACE_CONFIG_PATH=/configs", "MODE=mine"],
        "Labels": {"molecule.platform.managed": "true"},
        "Volumes": {"/configs": {}},
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "Init": True},
    }
    await host.start(await host.create_container(name, body))
    client.containers.get(name).exec_run(["sh", "-c", "echo kept > /configs/note"])
    client.images.get(new_image.id).tag(images.repository, "latest")

    waits = order(name, new_image, drain_timeout_seconds=0.3)
    result = await replace(host, waits)
    assert isinstance(result, StillBusy)
    assert "it cannot be told whether work is in progress" in result.reason
    before = await host.inspect_container(name)
    assert (before["Image"], before["State"]["Status"]) == (old.id, "running")

    first = order(name, new_image, drain_timeout_seconds=0.3, on_timeout="Proceed")
    assert isinstance(await replace(host, first), Replaced)
    after = await host.inspect_container(name)
    assert after["Image"] == new_image.id
    assert {"WORKSPACE_ID=0123456789ab", "MODE=mine"} <= set(after["Config"]["Env"])
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert (await host.execute(name, ("cat", "/configs/note"))).output == b"kept\n"
    record = CreateRecord.from_label(after["Config"]["Labels"][LABEL_CREATE_SPEC])
    assert record is not None
    assert {"WORKSPACE_ID", "WORKSPACE_CONFIG_PATH", "MODE"} == record.user_set.env

    workspace = Workspace(host, name)
    await workspace.ctl("busy", "60")
    third = images.image("3.0.0")
    busy = await replace(host, order(name, third, drain_timeout_seconds=0.3))
    assert isinstance(busy, StillBusy)
    assert busy.active_tasks == 1, "it was asked, and said so itself"


async def test_one_in_the_network_of_another_stays_there_and_that_one_is_left_alone_with_its_name(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    supplier = f"{docker_prefix}vpn"
    # As a VPN or a proxy does, it has the network and nothing at the port of the runtime.
    other = {"Image": old_image.reference, "Cmd": ["sleep", "600"], "HostConfig": {"Init": True}}
    await host.start(await host.create_container(supplier, other))
    name = f"{docker_prefix}ws-1"
    body = {
        "Image": old_image.reference,
        "HostConfig": {"NetworkMode": f"container:{supplier}"},
    }
    await host.start(await host.create_container(name, body))
    await Workspace(host, name).ctl("status")
    before = await host.inspect_container(supplier)
    assert isinstance(await replace(host, order(name, new_image)), Replaced)
    after = await host.inspect_container(name)
    assert (after["Image"], after["HostConfig"]["NetworkMode"]) == (new_image.id, f"container:{before['Id']}")
    assert (await host.inspect_container(supplier))["State"] == before["State"]
    listed = {one.name: one for one in await host.containers()}
    assert listed[name].network_of == before["Id"]
    said = unsafe_shape(before, old_image_known=True, network_sharers=[name])
    assert said is not None
    assert f"Container {name} shares its network" in said
