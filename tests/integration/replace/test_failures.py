"""When something goes wrong the old container is back, and what is under way is finished or undone."""

# ruff: noqa: PLR0913, PLR0917 -- fixtures are parameters

import docker
import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.container import ContainerState
from controller.model.errors import Transient
from controller.model.replacement import Boundary, Cause, Replaced, ReplaceOrder, RolledBack, StepObserver
from tests.integration.replace.workspaces import start
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage, StandIns


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("exit", (Cause.EXITED, "ended")),
        ("refuse", (Cause.WRONG_VERSION, "9.9.9")),
        ("silent", (Cause.NEVER_READY, "within 1 s")),
        ("starting", (Cause.NEVER_READY, "within 1 s")),
    ],
)
async def test_an_image_that_does_not_prove_itself_gives_way_to_the_old_one(
    host: DockerEngine,
    client: docker.DockerClient,
    images: StandIns,
    old_image: StandInImage,
    docker_prefix: str,
    fault: str,
    expected: tuple[Cause, str],
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    bad = images.image("2.0.0", fault=fault, extra="VOLUME /fresh")
    made: set[str] = set()

    def look(step: str, boundary: Boundary) -> None:
        if (step, boundary) == ("Create", Boundary.AFTER):
            mounts = client.containers.get(f"wsr-next-{workspace.name}").attrs["Mounts"]
            made.update(mount["Name"] for mount in mounts)

    result = await replace(host, order(workspace.name, bad, start_deadline_seconds=1.0), on_step=look)
    assert isinstance(result, RolledBack)
    cause, said = expected
    assert (result.cause, result.witnessed, result.counts) == (cause, True, True)
    assert said in result.message
    assert 0 < result.seconds_down < 20
    assert await workspace.facts() == before
    assert await workspace.interim() == []
    assert (await workspace.ctl("status"))["state"] == "serving"
    fresh = made - set(before["mounts"])
    assert len(fresh) == 1
    assert not await host.volume_exists(fresh.pop())
    assert all([await host.volume_exists(volume) for volume in before["mounts"]])


async def test_the_last_lines_of_a_failed_one_come_along_without_its_secrets(
    host: DockerEngine, images: StandIns, old_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    result = await replace(host, order(workspace.name, images.image("2.0.0", fault="exit")))
    assert isinstance(result, RolledBack)
    assert result.log_tail[:2] == ("secret is ***", "a module is missing")
    assert len(result.log_tail) <= 20


async def test_an_image_that_cannot_be_started_is_to_blame(
    host: DockerEngine, images: StandIns, old_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    result = await replace(
        host, order(workspace.name, images.image("2.0.0", extra='CMD ["no-such-program"]'))
    )
    assert isinstance(result, RolledBack)
    assert (result.cause, result.counts) == (Cause.NOT_STARTED, True)
    assert "no-such-program" in result.message
    assert await workspace.facts() == before


async def test_an_old_one_that_ignores_sigterm_gets_its_grace_and_no_more(
    host: DockerEngine, images: StandIns, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", images.image("1.0.0", fault="stubborn"))
    result = await replace(host, order(workspace.name, new_image, stop_grace_seconds=1))
    assert isinstance(result, Replaced)
    assert 1 <= result.seconds_down < 10


async def test_an_image_that_is_not_in_the_engine_changes_nothing(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    absent = StandInImage("no-such:1", new_image.id, "2.0.0", new_image.content_sha256)
    with pytest.raises(Transient, match="is not in engine local yet"):
        await replace(host, order(workspace.name, absent))
    moved = StandInImage(old_image.reference, new_image.id, "2.0.0", new_image.content_sha256)
    with pytest.raises(Transient, match="not sha256:"):
        await replace(host, order(workspace.name, moved))
    assert await workspace.interim() == []


async def test_what_is_under_way_is_finished_or_undone_without_an_order_for_an_image(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    class Stop(Exception):  # noqa: N818 -- not an error
        pass

    def stop_at(step: str) -> StepObserver:
        def on_step(taken: str, boundary: Boundary) -> None:
            if taken == step and boundary is Boundary.BEFORE:
                raise Stop

        return on_step

    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    for step, image in (("StartNew", old_image), ("RemoveOld", new_image)):
        with pytest.raises(Stop):
            await replace(host, order(workspace.name, new_image), on_step=stop_at(step))
        settled = await replace(host, ReplaceOrder(workspace.name, None, stop_grace_seconds=1))
        assert isinstance(settled, RolledBack if image is old_image else Replaced)
        assert (await host.inspect_container(workspace.name))["Image"] == image.id
        assert await workspace.interim() == []
        if image is old_image:
            assert await workspace.facts() == before
    assert (await host.inspect_container(workspace.name))["State"]["Status"] == ContainerState.RUNNING
