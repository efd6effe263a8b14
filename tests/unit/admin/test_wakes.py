"""Calls that wake the loop: none is lost, and a flood wakes it every so often only."""

import asyncio

from controller.admin.wakes import BURST, REFILL_SECONDS, SPACING_SECONDS, Wakes
from tests.unit.simulator.virtual_time import run, seconds


def woken(*calls: float) -> list[float]:
    """When a loop is woken that is called at these seconds, in the order of time."""
    times: list[float] = []

    async def main() -> None:
        wakes = Wakes(lambda: times.append(round(seconds(), 3)))
        for call in calls:
            await asyncio.sleep(call - seconds())
            wakes.tell()
        await asyncio.sleep(1000)

    run(main())
    return times


def test_the_first_call_wakes_at_once() -> None:
    assert woken(3.0) == [3.0]


def test_calls_in_the_same_moment_wake_once_and_the_last_of_a_push_is_followed_by_a_look() -> None:
    assert woken(1.0, 1.0, 1.01, 1.05, 1.09) == [1.0, 1.0 + SPACING_SECONDS]


def test_a_flood_wakes_every_so_often_and_its_last_call_too() -> None:
    times = woken(*(number / 100 for number in range(6000)))
    assert times[:BURST] == [round(number * SPACING_SECONDS, 3) for number in range(BURST)]
    assert len(times) <= BURST + 60 / REFILL_SECONDS + 2
    assert times[-1] >= 59.99


def test_calls_that_are_far_enough_apart_wake_at_once_for_good() -> None:
    calls = [number * REFILL_SECONDS for number in range(1, 50)]
    assert woken(*calls) == calls


def test_nobody_is_woken_after_the_end() -> None:
    times: list[float] = []

    async def main() -> None:
        wakes = Wakes(lambda: times.append(seconds()))
        wakes.tell()
        wakes.close()
        await asyncio.sleep(10)

    run(main())
    assert times == []
