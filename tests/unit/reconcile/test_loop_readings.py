"""What one object's loop reads again, and when: never less than it needs, seldom more."""

import asyncio
import itertools

from controller.api.conditions import Reason
from controller.model.actions import Action, Probe, Replace
from controller.plan.state import Unproven
from controller.reconcile.loop import REREAD_ALL_AFTER
from controller.reconcile.result import Stalled
from tests.unit.reconcile.ground import drive, once, scene
from tests.unit.simulator.box import sha
from tests.unit.simulator.virtual_time import run, seconds


def test_something_that_happens_is_looked_at_at_once_and_not_at_the_next_timer() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        done = seconds()
        await drive(made, (done + 7.0, lambda: made.edit(version="0.1.1")), until=done + 9)
        assert made.world.times("Package", "begins")[-1] == done + 7

    run(main())


def test_an_idle_object_is_looked_at_now_and_then_and_never_written() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        writes, passes = len(made.store.written), len(made.passes)
        await drive(made, until=seconds() + 3600)
        assert len(made.store.written) == writes
        assert 50 < len(made.passes) - passes < 70

    run(main())


def test_while_only_targets_change_only_targets_are_read() -> None:
    async def main() -> None:
        made = scene(8)
        await once(made)
        begun = made.world.times("Replace", "begins")[0]
        proven = made.world.times("Replace", "ends")[-1]
        during = [time for time in made.world.full_reads if begun < time < proven]
        passes = len(made.world.times("Replace", "ends"))
        assert 0 < len(during) < passes
        assert all(
            later - earlier >= REREAD_ALL_AFTER.total_seconds()
            for earlier, later in itertools.pairwise(during)
        )

    run(main())


def test_after_a_probe_only_the_record_is_read_and_nothing_is_published_on_an_old_reading() -> None:
    async def main() -> None:
        made = scene(2)

        async def one_after_the_other(action: Action) -> None:
            if isinstance(action, Probe):
                later = asyncio.get_running_loop().call_later
                if len(made.world.times("Probe", "begins")) == 1:
                    later(5.5, made.wake.set)  # all is read shortly before the first one ends
                else:
                    later(7, made.world.machine.index.__setitem__, "0.9.0", sha("somebody else's"))
                    await asyncio.sleep(2)

        made.world.before = one_after_the_other
        result = await once(made)
        assert isinstance(result, Stalled)
        assert result.reason == Reason.VERSION_REFUSED
        first, second = made.world.times("Probe", "ends")
        before, *after = (
            time for time in made.world.full_reads if time > made.world.times("Probe", "begins")[0]
        )
        assert (before < first, after) == (True, [second])
        left = [turn.state.templates for turn in made.passes if isinstance(turn.state, Unproven)]
        assert [len(templates) for templates in left] == [2, 2, 1]
        assert not made.world.times("Publish", "begins")

    run(main())


def test_after_a_replacement_that_did_not_take_place_the_records_are_read_before_the_next_begins() -> None:
    async def main() -> None:
        async def late(action: Action) -> None:
            # The others end, and all is read, a moment before this one fails: within the time that readings are kept.
            if isinstance(action, Replace) and action.target.endswith("ws-2"):
                await asyncio.sleep(3)

        made = scene(8)
        await once(made)
        made.world.before = late
        made.world.machine.bad_in_fleet = {("0.1.1", "ws-2")}
        made.edit(version="0.1.1")
        result = await once(made)
        assert isinstance(result, Stalled)
        moved = [action for action in made.world.performed if isinstance(action, Replace)]
        begun = [action.target[-4:] for action in moved if action.version == "0.1.1"]
        assert begun == ["ws-1", "ws-2", "ws-3"], "the failed version was begun once more"

    run(main())


def test_news_from_outside_is_read_at_once_however_recently_the_rest_was_read() -> None:
    async def main() -> None:
        made = scene()
        await once(made)
        made.loop.on_pass = lambda _: None
        anew: list[int] = []
        made.loop.anew = lambda: anew.append(len(made.world.full_reads))
        watching = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(0.5)
        assert anew == []
        reads = len(made.world.full_reads)
        made.loop.look_anew()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1
        assert anew == [reads], "what is asked seldom is asked in this reading"
        made.wake.set()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1, "a container's event makes it read targets only"
        made.edit(suspend=True)
        await asyncio.sleep(0.1)
        assert anew == [reads, reads + 1], "so it is when something else is asked for"
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())


def test_news_from_outside_is_read_at_once_while_work_is_under_way() -> None:
    async def busy(_: Action) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        made = scene(before=busy)
        watching = asyncio.create_task(made.loop.run_forever())
        await asyncio.sleep(20)
        assert made.passes[-1].status.condition("Reconciling") is not None
        reads = len(made.world.full_reads)
        made.loop.look_anew()
        await asyncio.sleep(0.1)
        assert len(made.world.full_reads) == reads + 1
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())
