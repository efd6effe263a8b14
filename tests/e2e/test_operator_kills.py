"""`kill -9` of the operator at every boundary of a rollout: whoever comes next goes on, and nothing happens twice."""

import asyncio
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, condition, operator

FORWARD = (
    "Turning to (Rolling|RollingOut)",
    "Beginning Replace",
    "Draining",
    "Changing the image",
    "Waiting for the proof",
    "Ended Replace",
    "Beginning Judge",
    "Ended Judge",
)
BACK = ("Waiting for the proof", "Going back to the old image", "Ended Replace", "Turning to RolloutFailed")
NAMES = ("ws-1", "ws-2", "ws-3")


async def killed_at(ground: Operated, cluster: Cluster, folder: Path, line: str) -> None:
    """Ask for 0.1.1 while 0.1.0 runs, and kill the operator as soon as it says a line."""
    for name in NAMES:
        await ground.workload(name)
    template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 4}
    rollout = {"maxUnavailable": 1, "drain": {"timeoutSeconds": 5}}
    await ground.make("0.1.0", rollout=rollout, templates=[template])
    with operator(cluster, folder, ground.namespace, url=ground.node.url) as first:
        await ground.until_ready("0.1.0")
        await ground.edit(version="0.1.1")
        await asyncio.to_thread(first.process.until, f'"message": ?"[^"]*{line}')
        first.process.kill()


async def assert_goes_on(ground: Operated, cluster: Cluster, tmp_path: Path, line: str) -> None:
    await killed_at(ground, cluster, tmp_path / "1", line)
    with operator(cluster, tmp_path / "2", ground.namespace, url=ground.node.url) as second:
        await ground.until_ready("0.1.1")
        assert [each for each in second.lines() if each["level"] == "error"] == []
    assert await ground.images() == dict.fromkeys(NAMES, "0.1.1")
    started = [pod for pod, image in ground.node.pods.items() if image.version == "0.1.1"]
    assert len(started) == len(NAMES), "each workload was given the image once"


async def test_an_operator_that_is_killed_in_the_middle_of_a_rollout_is_followed_by_one_that_goes_on(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    await assert_goes_on(ground, cluster, tmp_path, "Waiting for the proof")


@pytest.mark.long
@pytest.mark.parametrize("line", FORWARD)
async def test_a_kill_at_any_boundary_of_a_rollout_repeats_nothing(
    ground: Operated, cluster: Cluster, tmp_path: Path, line: str
) -> None:
    await assert_goes_on(ground, cluster, tmp_path, line)


@pytest.mark.long
@pytest.mark.parametrize("line", BACK)
async def test_a_kill_at_any_boundary_of_the_way_back_ends_on_the_old_image(
    ground: Operated, cluster: Cluster, tmp_path: Path, line: str
) -> None:
    ground.node.fails = "0.1.1"
    await killed_at(ground, cluster, tmp_path / "1", line)
    with operator(cluster, tmp_path / "2", ground.namespace, url=ground.node.url):
        await ground.until(
            lambda state: condition(state, "Ready").get("reason") == "RolloutFailed", seconds=60
        )
        await ground.until_runs(ws_1="0.1.0", ws_2="0.1.0", ws_3="0.1.0")
