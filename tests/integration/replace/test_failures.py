"""When something goes wrong the old container is back, what works is not cut, and nobody else's is touched."""

# ruff: noqa: PLR0913, PLR0917 -- fixtures are parameters

import asyncio
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.container import ContainerState
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.replacement import (
    Boundary,
    Cause,
    Replaced,
    ReplaceOrder,
    ReplaceResult,
    RolledBack,
    StepObserver,
    StillBusy,
)
from tests.parts.faulty_engine import Fault, faulty_engine
from tests.parts.replacing import order, pause
from tests.parts.stand_in import StandInImage, StandIns


class Workspace:
    """One running container of the test, and what must not change about it."""

    def __init__(self, host: DockerEngine, name: str) -> None:
        self.host = host
        self.name = name

    async def facts(self) -> dict[str, Any]:
        found = await self.host.inspect_container(self.name)
        return {
            "id": found["Id"],
            "state": found["State"]["Status"],
            "policy": found["HostConfig"]["RestartPolicy"],
            "networks": sorted(found["NetworkSettings"]["Networks"]),
            "mounts": sorted(mount["Name"] for mount in found["Mounts"]),
        }

    async def ctl(self, *words: str) -> dict[str, Any]:
        for _ in range(50):
            ran = await self.host.execute(self.name, ("molecule-runtime", "ctl", *words))
            if not ran.exit_code:
                break
            await asyncio.sleep(0.05)
        report: dict[str, Any] = json.loads(ran.output)
        return report

    async def interim(self) -> list[str]:
        return [
            one.name
            for one in await self.host.containers()
            if one.name.endswith(self.name) and one.name != self.name
        ]


async def start(host: DockerEngine, name: str, image: StandInImage, **more: object) -> Workspace:
    body = {
        "Image": image.reference,
        "Volumes": {"/anonymous": {}},
        "Env": ["API_TOKEN=hunter2hunter2"],
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}} | more,
    }
    await host.start(await host.create_container(name, body))
    workspace = Workspace(host, name)
    await workspace.ctl("status")
    return workspace


@pytest.fixture
def old_image(images: StandIns) -> StandInImage:
    return images.image("1.0.0")


@pytest.fixture
def new_image(images: StandIns) -> StandInImage:
    return images.image("2.0.0")


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


# work in progress


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


# not running


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


# shapes, names and other people's containers


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


# how it is asked to drain


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


# an engine that fails


STEPS_THAT_MAY_FAIL = {
    "Create": r"^POST .*/containers/create",
    "Drain": r"^POST .*/kill\?",
    "DisarmOld": r"^POST .*/update",
    "StopOld": r"^POST .*/stop",
    "RenameOld": r"^POST .*/rename\?name=wsr-prev-",
    "RenameNew": r"^POST .*/rename\?name=(?!wsr-)",
    "StartNew": r"^POST .*/start",
    "RestorePolicy": r"^POST .*/update",
}


@pytest.mark.parametrize("step", STEPS_THAT_MAY_FAIL)
async def test_a_step_that_keeps_failing_brings_the_old_one_back(
    engine: str,
    host: DockerEngine,
    old_image: StandInImage,
    new_image: StandInImage,
    docker_prefix: str,
    tmp_path: Path,
    step: str,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    with faulty_engine(engine, tmp_path) as faulty:
        fault = Fault(STEPS_THAT_MAY_FAIL[step], times=3)

        def arm(taken: str, boundary: Boundary) -> None:
            if taken == step and boundary is Boundary.BEFORE:
                faulty.faults.append(fault)

        async with DockerEngine(faulty.endpoint) as through:
            result: ReplaceResult | Transient
            try:
                result = await replace(through, order(workspace.name, new_image), on_step=arm)
            except Transient as problem:
                result = problem
    assert fault.met == 3
    assert await workspace.facts() == before
    assert await workspace.interim() == []
    assert (await workspace.ctl("status"))["state"] == "serving"
    if step == "Drain":
        assert isinstance(result, StillBusy)
    elif step == "Create":
        assert isinstance(result, Transient)
    else:
        assert isinstance(result, RolledBack)
        assert (result.cause, result.counts) == (Cause.HOST, False)
        assert re.search(f"Step {step} failed: .*out of order", result.message)


async def test_a_step_that_fails_once_is_tried_again(
    engine: str,
    host: DockerEngine,
    old_image: StandInImage,
    new_image: StandInImage,
    docker_prefix: str,
    tmp_path: Path,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    with faulty_engine(engine, tmp_path) as faulty:
        faulty.faults += [Fault(r"^POST .*/stop", times=1), Fault(r"^DELETE ", times=2)]
        async with DockerEngine(faulty.endpoint) as through:
            assert isinstance(await replace(through, order(workspace.name, new_image)), Replaced)
    assert await workspace.interim() == []


@pytest.mark.parametrize("step", ["StopOld", "StartNew", "AwaitProof"])
async def test_an_engine_lost_in_the_middle_is_left_to_the_next_pass_and_blames_nobody(
    engine: str,
    host: DockerEngine,
    images: StandIns,
    old_image: StandInImage,
    docker_prefix: str,
    tmp_path: Path,
    step: str,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    todo = order(workspace.name, images.image("2.0.0", fault="silent"), start_deadline_seconds=1.0)
    with faulty_engine(engine, tmp_path) as faulty:

        def lose(taken: str, boundary: Boundary) -> None:
            faulty.loss = faulty.loss or (taken == step and boundary is Boundary.BEFORE)

        async with DockerEngine(faulty.endpoint) as through:
            with pytest.raises(Transient, match="did not answer"):
                await replace(through, todo, on_step=lose)
    result = await replace(host, todo)
    assert isinstance(result, RolledBack)
    assert result.counts == (
        step != "AwaitProof"
    )  # the next pass starts the image itself, or finds it started
    assert await workspace.facts() == before


async def test_a_start_refused_by_an_engine_that_takes_no_new_connection_blames_nobody(
    engine: str,
    host: DockerEngine,
    images: StandIns,
    old_image: StandInImage,
    docker_prefix: str,
    tmp_path: Path,
) -> None:
    workspace = await start(host, f"{docker_prefix}ws-1", old_image)
    before = await workspace.facts()
    todo = order(workspace.name, images.image("2.0.0", extra='CMD ["no-such-program"]'))
    with faulty_engine(engine, tmp_path) as faulty:
        shuts_down = Fault(
            r"^GET .*/version"
        )  # with which a client opens; those that are open are served to the end

        def shut_down(taken: str, boundary: Boundary) -> None:
            if (taken, boundary) == ("StartNew", Boundary.BEFORE):
                faulty.faults.append(shuts_down)

        async with DockerEngine(faulty.endpoint) as through:
            result = await replace(through, todo, on_step=shut_down)
    assert shuts_down.met == 3
    assert isinstance(result, RolledBack)
    assert (result.cause, result.counts) == (Cause.HOST, False)
    assert await workspace.facts() == before
    result = await replace(host, todo)
    assert isinstance(result, RolledBack)
    assert (result.cause, result.counts) == (Cause.NOT_STARTED, True)


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
