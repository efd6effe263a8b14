"""Nobody else's container is touched, whatever it is to ours: a dependent, a neighbour, or the holder of its name."""

from functools import partial

import docker
import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.errors import NotFound, Terminal
from controller.model.replacement import Boundary, Cause, Replaced, RolledBack
from tests.integration.replace.workspaces import start
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage


async def test_one_that_vanishes_when_it_stops_is_left_alone(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(
        host, f"{docker_prefix}ws-1", old_image, RestartPolicy={"Name": "no"}, AutoRemove=True
    )
    with pytest.raises(Terminal, match="--rm") as refused:
        await replace(host, order(workspace.name, new_image))
    assert refused.value.reason == "ShapeUnsafe"
    assert (await workspace.facts())["state"] == "running"
    assert await workspace.interim() == []


@pytest.mark.parametrize("tie", ["link", "network"])
async def test_one_that_another_depends_on_is_left_alone_and_the_other_is_named(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str, tie: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    other = f"{docker_prefix}other"
    ties = {
        "link": {"Links": [f"{workspace.name}:it"]},
        "network": {"NetworkMode": f"container:{workspace.name}"},
    }
    body = {"Image": old_image.reference, "Cmd": ["sleep", "600"], "HostConfig": ties[tie]}
    await host.start(await host.create_container(other, body))
    with pytest.raises(Terminal, match=f"Container {other} "):
        await replace(host, order(workspace.name, new_image))
    assert await workspace.interim() == []


async def test_one_that_links_to_another_keeps_its_link(
    host: DockerEngine,
    client: docker.DockerClient,
    old_image: StandInImage,
    new_image: StandInImage,
    docker_prefix: str,
) -> None:
    source = f"{docker_prefix}db"
    await start(host, source, old_image)
    workspace = await start(host, f"{docker_prefix}ws-1", old_image, Links=[f"{source}:database"])
    assert isinstance(await replace(host, order(workspace.name, new_image)), Replaced)
    assert client.api.inspect_container(workspace.name)["HostConfig"]["Links"] == [
        f"/{source}:/{workspace.name}/database"
    ]
    assert (await host.execute(workspace.name, ("grep", "database", "/etc/hosts"))).exit_code == 0


class Intruder:
    """Creates a foreign container at a chosen moment of a replacement."""

    def __init__(self, client: docker.DockerClient, image: str, name: str, at: tuple[str, Boundary]) -> None:
        self._make = partial(client.containers.create, image, ["sleep", "600"], name=name)
        self._at = at
        self.id: str | None = None

    def __call__(self, step: str, boundary: Boundary) -> None:
        if (str(step), boundary) == self._at and self.id is None:
            self.id = self._make().id


async def test_a_name_taken_in_the_middle_is_said_and_neither_is_touched(
    host: DockerEngine,
    client: docker.DockerClient,
    old_image: StandInImage,
    new_image: StandInImage,
    docker_prefix: str,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    intruder = Intruder(client, old_image.reference, workspace.name, ("RenameNew", Boundary.BEFORE))
    for on_step in (intruder, lambda _step, _boundary: None):  # and the next pass says so again
        with pytest.raises(Terminal, match=f"Remove or rename that {workspace.name}") as refused:
            await replace(host, order(workspace.name, new_image), on_step=on_step)
        assert refused.value.reason == "NameTaken"
    assert (await workspace.facts())["id"] == intruder.id
    assert sorted(await workspace.interim()) == [f"wsr-next-{workspace.name}", f"wsr-prev-{workspace.name}"]
    await host.remove(workspace.name)
    result = await replace(host, order(workspace.name, new_image))
    assert isinstance(result, Replaced)
    assert result.old_id == before["id"]
    assert await workspace.interim() == []


async def test_a_taken_interim_name_lets_the_old_one_go_on(
    host: DockerEngine,
    client: docker.DockerClient,
    old_image: StandInImage,
    new_image: StandInImage,
    docker_prefix: str,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    intruder = Intruder(
        client, old_image.reference, f"wsr-prev-{workspace.name}", ("StopOld", Boundary.AFTER)
    )
    result = await replace(host, order(workspace.name, new_image), on_step=intruder)
    assert isinstance(result, RolledBack)
    assert (result.cause, result.counts) == (Cause.HOST, False)
    assert await workspace.facts() == before
    assert await workspace.interim() == [f"wsr-prev-{workspace.name}"]
    with pytest.raises(
        Terminal, match=f"wsr-prev-{workspace.name}"
    ):  # and the next pass does not even stop it
        await replace(host, order(workspace.name, new_image))
    assert await workspace.facts() == before


async def test_containers_beside_the_target_are_untouched(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    near = [await start(host, f"{docker_prefix}{name}", old_image) for name in ("ws-10", "wss-1")]
    before = [await one.facts() for one in near]
    await replace(host, order(workspace.name, new_image))
    assert [await one.facts() for one in near] == before


async def test_a_container_that_is_not_there_is_not_made(
    host: DockerEngine, new_image: StandInImage, docker_prefix: str
) -> None:
    with pytest.raises(NotFound):
        await replace(host, order(f"{docker_prefix}ws-1", new_image))
    assert not [one for one in await host.containers() if one.name.endswith(f"{docker_prefix}ws-1")]
