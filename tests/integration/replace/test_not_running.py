"""What does not run is not started: it is replaced as it is."""

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.replacement import Replaced
from tests.integration.replace.workspaces import start
from tests.parts.replacing import order, pause
from tests.parts.stand_in import StandInImage, StandIns


async def test_a_stopped_one_is_replaced_without_a_start_and_proven_at_its_first(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await host.stop(workspace.name, grace_seconds=1)
    before = await workspace.facts()
    result = await replace(host, order(workspace.name, new_image))
    assert isinstance(result, Replaced)
    assert (result.awaiting_first_start, result.seconds_down) == (True, 0.0)
    after = await workspace.facts()
    assert after | {"id": "", "state": ""} == before | {"id": "", "state": ""}
    assert after["state"] == "created"
    assert await workspace.interim() == [f"wsr-prev-{workspace.name}"]
    await host.start(workspace.name)
    assert isinstance(await replace(host, order(workspace.name, new_image)), Replaced)
    assert await workspace.interim() == []


async def test_a_stopped_one_is_brought_to_a_newer_image_before_it_was_ever_started(
    host: DockerEngine, images: StandIns, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    name = f"{docker_prefix}ws-1"
    await host.create_container(name, {"Image": old_image.reference})
    newest = images.image("3.0.0")
    for image in (new_image, newest):
        await replace(host, order(name, image))
    assert (await host.inspect_container(name))["Image"] == newest.id
    assert (await host.inspect_container(f"wsr-prev-{name}"))["Image"] == old_image.id


async def test_a_paused_one_is_paused_again(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await pause(host, workspace.name)
    assert isinstance(await replace(host, order(workspace.name, new_image)), Replaced)
    found = await host.inspect_container(workspace.name)
    assert (found["State"]["Status"], found["Image"]) == ("paused", new_image.id)
    assert await workspace.interim() == []
