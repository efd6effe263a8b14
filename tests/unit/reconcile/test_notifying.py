"""People are told beside the loop: once, again where nobody was reached, and never so that anything waits for it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.api.status import Status
from controller.model.errors import Terminal, Transient
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Plan
from controller.plan.state import classify
from controller.reconcile.notifying import BLOCKED_SECONDS, PAUSES_SECONDS, UNDER_WAY, Notifier
from controller.reconcile.result import Pass
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import AWAY, observation, record, served
from tests.unit.simulator.virtual_time import NOON
from tests.unit.status.ground import status

DONE = observation(record(), images=Known(served(record(), latest="0.1.0")))
BLOCKED = observation(record(), images=AWAY)
HOLD = {"runtime.molecule.ai/hold": "an audit"}
CHAT: Sequence[Mapping[str, object]] = [{"secretName": "chat"}]


@dataclass
class Place:
    """Whoever is told, with what happens instead the first times; and a clock."""

    fails: list[Exception] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    now: float = 0.0

    async def send(self, secret: str, title: str, text: str) -> None:
        assert text
        if self.fails:
            raise self.fails.pop(0)
        self.told.append((secret, title.partition(": ")[2]))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def notifier(self, before: Status | None = None) -> Notifier:
        return Notifier(before or Status(), self.send, self.lines.append, lambda: self.now, self.sleep)


def turn(
    seen: Observation,
    notifications: Sequence[Mapping[str, object]] = CHAT,
    annotations: dict[str, str] | None = None,
) -> Pass:
    asked = document("0.1.0", annotations=annotations, notifications=list(notifications))
    made = status(seen, annotations=annotations)
    return Pass(asked, classify(asked, seen), Plan((), (), NOON), made)


async def settled(notifier: Notifier) -> None:
    await notifier.close(seconds=5)


async def test_everybody_hears_once_of_what_they_asked_for_and_of_nothing_else() -> None:
    place = Place()
    notifier = place.notifier()
    everybody: list[Mapping[str, object]] = [
        {"secretName": "chat"},
        {"secretName": "pager", "on": ["Held", "Stalled"]},
    ]
    for each in (turn(DONE, everybody), turn(DONE, everybody), turn(DONE, everybody, HOLD)):
        notifier.on_pass(each)
    await settled(notifier)
    assert sorted(place.told) == [
        ("chat", "Done (UpToDate)"),
        ("chat", "Held (Held)"),
        ("pager", "Held (Held)"),
    ]
    assert place.lines == []


async def test_what_the_status_said_before_this_process_is_no_news() -> None:
    place = Place()
    before = turn(DONE).status
    notifier = place.notifier(before)
    notifier.on_pass(turn(DONE))
    await settled(notifier)
    assert place.told == []


async def test_what_does_not_answer_is_told_of_only_when_it_lasts() -> None:
    place = Place()
    notifier = place.notifier(turn(DONE).status)
    for now, seen in (
        (0.0, BLOCKED),
        (100.0, DONE),
        (200.0, BLOCKED),
        (200.0 + BLOCKED_SECONDS - 1, BLOCKED),
    ):
        place.now = now
        notifier.on_pass(turn(seen))
    await settled(notifier)
    assert place.told == []
    place.now = 200.0 + BLOCKED_SECONDS
    notifier.on_pass(turn(BLOCKED))
    notifier.on_pass(turn(BLOCKED))
    notifier.on_pass(turn(DONE))
    await settled(notifier)
    assert place.told == [("chat", "Blocked (Unknown)"), ("chat", "Done (UpToDate)")]


async def test_whoever_is_not_reached_is_tried_again_and_given_up_in_the_end() -> None:
    place = Place(fails=[Transient("it was not taken")] * 2)
    notifier = place.notifier()
    notifier.on_pass(turn(DONE))
    await settled(notifier)
    assert (place.told, place.slept) == ([("chat", "Done (UpToDate)")], list(PAUSES_SECONDS[:2]))
    title = "default/molecule-runtime 0.1.0: Done (UpToDate)"
    assert (
        place.lines[0]
        == f"{title}: whoever Secret chat leads to was not told: it was not taken; trying again in 5 s"
    )

    place = Place(fails=[Transient("it was not taken")] * 99)
    notifier = place.notifier()
    notifier.on_pass(turn(DONE))
    await settled(notifier)
    assert place.slept == list(PAUSES_SECONDS)
    assert place.lines[-1] == f"{title}: whoever Secret chat leads to was not told: it was not taken"


async def test_what_somebody_must_change_is_not_tried_again() -> None:
    place = Place(fails=[Terminal("SecretNotFound", "There is no Secret chat.", fix="Write it.")])
    notifier = place.notifier()
    notifier.on_pass(turn(DONE))
    await settled(notifier)
    assert (place.told, place.slept) == ([], [])
    assert place.lines[0].endswith("was not told: There is no Secret chat. Write it.")


async def test_a_silent_service_keeps_nothing_waiting_and_takes_no_memory_for_ever() -> None:
    place = Place()
    silence = asyncio.Event()

    async def send(secret: str, title: str, text: str) -> None:
        del secret, title, text
        await silence.wait()

    notifier = Notifier(Status(), send, place.lines.append, lambda: 0.0, place.sleep)
    for _ in range(UNDER_WAY):
        notifier.on_pass(turn(DONE))
        notifier.on_pass(turn(DONE, CHAT, HOLD))
    assert place.lines[0].endswith(f"nobody is told, since {UNDER_WAY} notices are under way already")
    await notifier.close()
    assert not silence.is_set()
