"""A fleet that is replaced all at once: what ends is taken together, and of who is through only the proof is asked for."""

import asyncio
from itertools import count, pairwise

import pytest

from controller.model.actions import Action, Replace
from controller.reconcile.loop import LONGEST_TOGETHER_SECONDS, MANY_UNDER_WAY, PAID_BACK
from tests.unit.reconcile.ground import Scene, drive, once, scene
from tests.unit.simulator.virtual_time import run, seconds

FLEET = 60
LOOK_SECONDS = 0.2


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Sixty targets that may all be replaced at once, and end one after the other, a fifth of a second apart."""
    monkeypatch.setattr("controller.plan.fleet.PER_HOST_LIMIT", FLEET)
    numbers = count()

    async def before(action: Action) -> None:
        if isinstance(action, Replace):
            await asyncio.sleep(next(numbers) % FLEET / 5)

    made = scene(FLEET, before, rollout={"maxUnavailable": "100%", "drain": {"timeoutSeconds": 60}})
    made.world.looks_take = LOOK_SECONDS
    return made


def test_ends_of_many_are_taken_together_until_the_last_look_is_paid_back(many: Scene) -> None:
    async def main() -> None:
        await once(many)
        ends = many.world.times("Replace", "ends")
        last_of_many = ends[-MANY_UNDER_WAY - 2]
        looks = [time for time, _ in many.world.looks if ends[0] < time < last_of_many]
        apart = [later - earlier for earlier, later in pairwise(looks)]
        assert len(apart) > 1
        assert min(apart) > LOOK_SECONDS * (1 + PAID_BACK) - 0.01
        few = [time for time, _ in many.world.looks if ends[-8] <= time <= ends[-1]]
        assert len(few) > 2, "ends of few are looked at at once"

    run(main())


def test_no_end_waits_for_long_however_long_a_look_takes(many: Scene) -> None:
    async def main() -> None:
        many.world.looks_take = 4.0
        await once(many)
        ends = many.world.times("Replace", "ends")
        looks = [time for time, _ in many.world.looks]
        waited = [min(look for look in looks if look >= end) - end for end in ends]
        assert max(waited) < 4.0 + LONGEST_TOGETHER_SECONDS + 0.01

    run(main())


def test_an_edit_does_not_wait_for_it(many: Scene) -> None:
    async def main() -> None:
        many.world.looks_take = 1.0
        ended, seen = asyncio.Event(), asyncio.Event()
        many.loop.on_action = lambda action, outcome: (
            ended.set() if isinstance(action, Replace) and outcome else None
        )
        many.loop.on_pass = lambda turn: seen.set() if turn.document.spec.version == "0.1.1" else None
        running = asyncio.create_task(many.loop.run_forever())
        await ended.wait()
        await asyncio.sleep(1.1)
        many.store.edit(version="0.1.1")
        many.loop.look_anew()
        edited = seconds()
        await seen.wait()
        assert seconds() - edited < 2 * many.world.looks_take + 0.01, "a look under way, and its own"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(main())


def test_of_who_is_through_only_the_proof_is_asked_for_until_something_else_is_wanted(many: Scene) -> None:
    async def main() -> None:
        await once(many)
        done, every = seconds(), {f"docker/local/ws-{number + 1}" for number in range(FLEET)}
        await drive(
            many,
            (done + 100, many.wake.set),
            (done + 200, lambda: many.edit(version="0.1.1")),
            (done + 320, many.loop.look_anew),
            until=done + 400,
        )
        looks = many.world.looks
        first = next(settled for time, settled in looks if time > done - 0.01)
        assert first == every
        # Sums of floating point numbers are not exact.
        assert next(settled for time, settled in looks if time > done + 199.9) == frozenset()
        assert next(settled for time, settled in looks if time > done + 319.9) == frozenset()
        during = [settled for time, settled in looks if done + 201 < time < done + 319]
        assert any(frozenset() < settled < every for settled in during)
        assert during[-1] == every

    run(main())
