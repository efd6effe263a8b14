"""Work in progress is not cut: who is busy is waited for, asked to drain as it can be, and left as it was."""

# ruff: noqa: PLR0913, PLR0917 -- fixtures are parameters

import asyncio
from pathlib import Path

import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.replacement import Boundary, Cause, Replaced, RolledBack, StillBusy
from tests.integration.replace.workspaces import start
from tests.parts.faulty_engine import faulty_engine
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage, StandIns


async def test_a_busy_one_is_waited_for_and_not_cut(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await workspace.ctl("busy", "1")
    begun = asyncio.get_running_loop().time()
    result = await replace(host, order(workspace.name, new_image))
    assert isinstance(result, Replaced)
    assert asyncio.get_running_loop().time() - begun >= 1
    assert result.seconds_down < asyncio.get_running_loop().time() - begun - 0.9


async def test_one_that_stays_busy_is_left_as_it_was_and_takes_work_again(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await workspace.ctl("busy", "60")
    before = await workspace.facts()
    result = await replace(host, order(workspace.name, new_image, drain_timeout_seconds=0.3))
    assert isinstance(result, StillBusy)
    assert (result.old_id, result.active_tasks) == (before["id"], 1)
    assert "0.3 s" in result.reason
    assert await workspace.facts() == before
    assert await workspace.interim() == []
    report = await workspace.ctl("status")
    assert (report["state"], report["activeTasks"]) == ("serving", 1)


async def test_one_that_stays_busy_is_stopped_when_the_order_says_so(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await workspace.ctl("busy", "60")
    todo = order(workspace.name, new_image, drain_timeout_seconds=0.3, on_timeout="Proceed")
    assert isinstance(await replace(host, todo), Replaced)


@pytest.mark.parametrize("on_timeout", ["Wait", "Proceed"])
async def test_one_that_cannot_tell_whether_it_works_is_left_to_on_timeout(
    host: DockerEngine, images: StandIns, new_image: StandInImage, docker_prefix: str, on_timeout: str
) -> None:
    plain = images.image("0.9.0", extra='CMD ["sleep", "600"]')
    name = f"{docker_prefix}ws-1"
    await host.start(
        await host.create_container(name, {"Image": plain.reference, "HostConfig": {"Init": True}})
    )
    result = await replace(host, order(name, new_image, drain_timeout_seconds=0.5, on_timeout=on_timeout))
    if on_timeout == "Proceed":
        # Init stays on: the new one runs under it as the old one did.
        assert isinstance(result, Replaced)
    else:
        assert isinstance(result, StillBusy)
        assert "cannot be told" in result.reason


async def test_one_that_crashes_all_the_time_has_no_work_to_wait_for(
    host: DockerEngine, images: StandIns, new_image: StandInImage, docker_prefix: str
) -> None:
    name = f"{docker_prefix}ws-1"
    broken = images.image("1.0.0", fault="exit")
    body = {"Image": broken.reference, "HostConfig": {"RestartPolicy": {"Name": "always"}}}
    await host.start(await host.create_container(name, body))
    for _ in range(50):
        if (await host.inspect_container(name))["RestartCount"] > 1:
            break
        await asyncio.sleep(0.2)
    assert isinstance(await replace(host, order(name, new_image)), Replaced)
    assert (await host.inspect_container(name))["HostConfig"]["RestartPolicy"]["Name"] == "always"


async def test_one_stopped_by_its_owner_while_it_drains_stays_stopped(
    host: DockerEngine, old_image: StandInImage, new_image: StandInImage, docker_prefix: str
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    await workspace.ctl("busy", "60")

    async def stop_it() -> None:
        await asyncio.sleep(0.5)
        await host.stop(workspace.name, grace_seconds=1)

    result, _ = await asyncio.gather(replace(host, order(workspace.name, new_image)), stop_it())
    assert isinstance(result, RolledBack)
    assert result.cause is Cause.STOPPED_MEANWHILE
    assert (await workspace.facts())["state"] == "exited"
    assert await workspace.interim() == []


@pytest.mark.parametrize(
    ("fault", "work", "asked"),
    [
        ("", "", ["kill"]),
        ("deaf", "", ["kill", "exec"]),
        ("unsignalled", "", ["exec"]),
        ("", "busy", ["exec"]),
    ],
)
async def test_an_idle_one_drains_on_a_signal_and_any_other_is_asked_by_exec(
    engine: str,
    host: DockerEngine,
    images: StandIns,
    new_image: StandInImage,
    docker_prefix: str,
    tmp_path: Path,
    fault: str,
    work: str,
    asked: list[str],
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", images.image("1.0.0", fault=fault))
    if work:
        await workspace.ctl(work, "1")
    drained: list[str] = []

    def look(step: str, boundary: Boundary) -> None:
        if step == "DisarmOld" and boundary is Boundary.BEFORE:
            paths = (request.partition("?")[0] for request in faulty.seen)
            drained.extend(last for path in paths if (last := path.rpartition("/")[2]) in {"kill", "exec"})

    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            result = await replace(through, order(workspace.name, new_image), on_step=look)
    assert isinstance(result, Replaced)
    assert drained == asked
