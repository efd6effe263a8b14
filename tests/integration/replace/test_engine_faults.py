"""An engine that fails at a step, or goes away, costs no container and blames no version."""

# ruff: noqa: PLR0913, PLR0917 -- fixtures are parameters

import re
from pathlib import Path

import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.errors import Transient
from controller.model.replacement import Boundary, Cause, Replaced, ReplaceResult, RolledBack, StillBusy
from tests.integration.replace.workspaces import start
from tests.parts.faulty_engine import Fault, faulty_engine
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage, StandIns

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
