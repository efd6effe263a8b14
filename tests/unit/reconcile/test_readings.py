"""A source that does not answer is unknown after its own time, since it first was, and holds up none of the others."""

import asyncio
from datetime import timedelta

from controller.model.errors import Terminal, Transient
from controller.model.observed import Known, Observed, Unknown
from controller.reconcile.readings import Readings
from tests.unit.simulator.virtual_time import NOON

LATER = NOON + timedelta(minutes=1)


async def _silent() -> Observed[str]:
    await asyncio.Event().wait()
    return Known("never")


async def _answers(value: str = "x") -> Observed[str]:
    return Known(value)


async def _fails() -> str:
    raise Transient("r.example answered 503")


async def test_one_that_does_not_answer_leaves_the_others_known() -> None:
    readings = Readings(seconds=0.01)
    seen = await readings.each("template", {"slow": _silent(), "quick": _answers()}, NOON)
    assert seen == {"slow": Unknown("it did not answer within 0.01 s", NOON), "quick": Known("x")}


async def test_one_that_is_read_alone_is_not_waited_for_either() -> None:
    async with asyncio.timeout(5):
        seen = await Readings(seconds=0.01).value("source", _silent(), NOON)
    assert seen == Unknown("it did not answer within 0.01 s", NOON)


async def test_it_is_unknown_since_it_first_was_until_it_answers() -> None:
    readings = Readings(seconds=0.01)
    for now in (NOON, LATER):
        assert await readings.observed("images", _silent(), now) == Unknown(
            "it did not answer within 0.01 s", NOON
        )
    assert await readings.observed("images", _answers(), now) == Known("x")
    assert await readings.observed("images", _silent(), LATER) == Unknown(
        "it did not answer within 0.01 s", LATER
    )


async def test_a_source_that_says_itself_what_is_unknown_keeps_since_when() -> None:
    async def unread(now: timedelta) -> Observed[str]:
        return Unknown("it is away", NOON + now)

    readings = Readings()
    for minutes in range(3):
        seen = await readings.observed("index", unread(timedelta(minutes=minutes)), NOON)
        assert seen == Unknown("it is away", NOON)


async def test_a_failure_is_unknown_with_its_cause_and_no_other_source_is() -> None:
    readings = Readings()
    assert await readings.value("release records", _fails(), NOON) == Unknown("r.example answered 503", NOON)
    assert await readings.value("targets", _answers(), LATER) == Known(Known("x"))
    assert await readings.value("release records", _fails(), LATER) == Unknown("r.example answered 503", NOON)


async def test_that_only_a_person_can_help_stays_known_for_as_long_as_it_lasts() -> None:
    async def refused() -> str:
        raise Terminal("CredentialsMissing", "r.example wants a password.", fix="Give one.")

    readings, words = Readings(), "r.example wants a password. Give one."
    for now in (NOON, LATER):
        seen = await readings.value("release records", refused(), now)
        assert seen == Unknown(words, NOON, stalled="CredentialsMissing")
