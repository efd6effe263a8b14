"""A refresh sees done what the loop does anyway, and says of each target what became of it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.errors import Transient
from controller.reconcile.loop import Reconciler
from controller.reconcile.refresh import LoopRefresher, Refreshed
from tests.unit.simulator.ground import Box, Life, life
from tests.unit.simulator.machine import Machine
from tests.unit.simulator.virtual_time import now, run, seconds

OLD = "sha256:" + "0" * 64


def refreshed(
    prepare: Callable[[Life], None],
    ask: Callable[[LoopRefresher], Awaitable[Refreshed]],
    *,
    refused: str = "",
) -> tuple[Refreshed, list[str], float]:
    """What a refresh says of four up-to-date targets after `prepare`, which images it fetched, and how long it took."""
    fetched: list[str] = []

    async def fetch(document: WorkspaceRuntime, template: Template, image: str) -> None:
        assert template in document.spec.templates
        if template.name == refused:
            raise Transient(f"the registry does not answer for {image}")
        fetched.append(template.name)

    async def play() -> tuple[Refreshed, list[str], float]:
        whole = life(4)
        await whole.live()
        wake = asyncio.Event()
        loop = Reconciler(whole.store, whole.world, wake, clock=now)
        refresher = LoopRefresher(whole.store, loop.look_anew, fetch, loop.hurrying)
        loop.on_pass, loop.on_action = refresher.on_pass, refresher.on_action
        running = asyncio.create_task(loop.run_forever())
        await asyncio.sleep(5)
        prepare(whole)
        begun = seconds()
        async with asyncio.timeout(3_600):
            done = await ask(refresher)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return done, fetched, seconds() - begun

    return run(play())


def everything(refresher: LoopRefresher) -> Awaitable[Refreshed]:
    return refresher.refresh(("echo", "greeter"), recreate=True)


def add(box: Box) -> Callable[[Life], None]:
    return lambda whole: whole.world.machine.add(box)


def test_where_all_is_current_images_are_fetched_and_nothing_is_recreated() -> None:
    done, fetched, took = refreshed(lambda _: None, everything)
    assert done == Refreshed(pulled=("echo", "greeter"))
    assert fetched == ["echo", "greeter"]
    assert took < 5


def test_a_workspace_on_an_old_image_is_recreated_and_the_answer_comes_when_it_was() -> None:
    done, _, took = refreshed(add(Box("ws-old", "echo", image_id=OLD)), everything)
    assert done.recreated == ("docker/local/ws-old",)
    assert (done.failed, done.busy, done.skipped, done.errors) == ((), (), (), {})
    assert took > 0


def test_one_that_is_held_is_skipped_with_the_reason_and_one_whose_work_does_not_end_is_busy() -> None:
    def prepare(whole: Life) -> None:
        held = Box("ws-held", "echo", image_id=OLD, hold="a demo")
        whole.world.machine.add(held, Box("ws-busy", "echo", image_id=OLD, work=[(0, 1e9)]))

    done, _, took = refreshed(prepare, everything)
    assert (done.recreated, done.busy) == ((), ("docker/local/ws-busy",))
    assert done.skipped == ("docker/local/ws-held",)
    assert "a demo" in done.errors["docker/local/ws-held"]
    assert done.errors["docker/local/ws-busy"] == "ws-busy: 1 task is under way"
    assert took >= 60, "its drain was waited for"


def test_force_cuts_work_that_is_waited_for_already_and_none_after_it() -> None:
    async def ask(refresher: LoopRefresher) -> Refreshed:
        waiting = asyncio.ensure_future(everything(refresher))
        await asyncio.sleep(10)
        machine, begun = machines[0]
        forced = await refresher.refresh(("echo", "greeter"), recreate=True, force=True)
        assert seconds() - begun < 30, "a drain was waited for"
        assert (await waiting).recreated == forced.recreated
        machine.add(Box("ws-late", "echo", image_id=OLD, work=[(0, 1e9)]))
        assert (await everything(refresher)).busy == ("docker/local/ws-late",)
        return forced

    def prepare(whole: Life) -> None:
        machines.append((whole.world.machine, seconds()))
        whole.world.machine.add(Box("ws-busy", "echo", image_id=OLD, work=[(0, 1e9)]))

    machines: list[tuple[Machine, float]] = []
    done, _, _ = refreshed(prepare, ask)
    assert (done.recreated, done.busy) == (("docker/local/ws-busy",), ())


def test_of_one_runtime_nothing_is_told_of_the_targets_of_others() -> None:
    def prepare(whole: Life) -> None:
        whole.world.machine.add(
            Box("ws-1", "echo", image_id=OLD),
            Box("ws-2", "greeter", image_id=OLD),
            Box("ws-3", "greeter", image_id=OLD, hold="a demo"),
        )

    done, _, _ = refreshed(prepare, lambda refresher: refresher.refresh(("echo",), recreate=True))
    assert (done.recreated, done.skipped, done.errors) == (("docker/local/ws-1",), (), {})


def test_one_that_does_not_come_up_is_not_recreated_and_says_why() -> None:
    def prepare(whole: Life) -> None:
        whole.world.machine.add(Box("ws-old", "echo", image_id=OLD))
        whole.world.machine.bad_in_fleet.add(("0.1.0", "ws-old"))

    done, _, _ = refreshed(prepare, everything)
    assert (done.recreated, done.busy) == ((), ())
    assert done.errors["docker/local/ws-old"].startswith("ws-old did not come up with 0.1.0")


def test_an_image_that_cannot_be_had_is_failed_and_the_others_are_fetched() -> None:
    done, fetched, _ = refreshed(lambda _: None, everything, refused="echo")
    assert (done.pulled, done.failed, fetched) == (("greeter",), ("echo",), ["greeter"])
    assert "does not answer" in done.errors["echo"]


def test_without_recreating_and_for_one_runtime_nothing_else_is_touched_or_waited_for() -> None:
    done, fetched, took = refreshed(
        add(Box("ws-old", "greeter", image_id=OLD)),
        lambda refresher: refresher.refresh(("echo",), recreate=False),
    )
    assert (done, fetched, took) == (Refreshed(pulled=("echo",)), ["echo"], 0)


def test_a_refresh_of_a_loop_that_ends_is_told_so_and_does_not_wait_for_ever() -> None:
    async def ask(refresher: LoopRefresher) -> Refreshed:
        refreshing = asyncio.ensure_future(everything(refresher))
        await asyncio.sleep(1)
        refresher.close()
        with pytest.raises(Transient, match="call again"):
            await refreshing
        return Refreshed()

    busy = Box("ws-busy", "echo", image_id=OLD, work=[(0, 1e9)])
    assert refreshed(add(busy), ask)[2] == 1
