"""A single run ends once only somebody else can bring it on: nobody knows whether they will."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from controller.model.actions import Replace
from controller.reconcile.result import Done, NotYet, Result, Stalled
from tests.unit.simulator.box import BASE_NAME
from tests.unit.simulator.ground import Event, Life, life
from tests.unit.simulator.shared import ECHO, FOLLOW, IMAGE, STRANGE, TELL
from tests.unit.simulator.virtual_time import run, seconds

HOUR = 3600.0


def shared(number: int = 2, *, takes: float | None = None, patient: bool = False, **build: Any) -> Life:  # noqa: ANN401 -- any field
    """A fleet whose second template is built by somebody else, who pushes after so many seconds or never."""
    whole = life(
        number,
        templates=[
            {"name": "echo", "image": ECHO, "build": {"directory": "echo"}},
            {"name": "greeter", "image": IMAGE, "build": build or FOLLOW},
        ],
        registry={"mode": "Remote", "artifacts": "registry.example/artifacts"},
    )
    machine = whole.world.machine
    machine.deliver(whole.store.document.spec.templates[1], None)
    machine.others.takes = {} if takes is None else {"greeter": takes}
    whole.patient = patient
    return whole


def lived(whole: Life, *then: Callable[[], None]) -> tuple[Result, float]:
    """How it ends, and after how many seconds; after each of `then` it begins anew."""

    async def main() -> tuple[Result, float]:
        result, begun = await whole.live(), 0.0
        for change in then:
            change()
            begun = seconds()
            result = await whole.live()
        return result, seconds() - begun

    return run(timed(main()))


async def timed(main: Coroutine[Any, Any, tuple[Result, float]]) -> tuple[Result, float]:
    async with asyncio.timeout(2 * HOUR):
        return await main


def test_an_image_that_nobody_announced_is_not_waited_for_and_the_version_is_judged() -> None:
    whole = shared()
    result, after = lived(whole)
    assert isinstance(result, NotYet)
    assert (result.reason, result.message) == (
        "AwaitingDelivery",
        "Version 0.1.0 is awaited from whoever builds: greeter.",
    )
    assert after < 60
    status = result.status
    assert status.last_known_good == "0.1.0"
    assert status.history[0].verdict == "Good"
    assert status.condition("Reconciling") is not None


def test_who_says_how_long_to_wait_gets_it_when_it_comes() -> None:
    result, after = lived(shared(takes=20 * 60, patient=True))
    assert isinstance(result, Done)
    assert 20 * 60 < after < 21 * 60


def test_an_answer_that_was_asked_for_is_waited_for_until_it_is_late() -> None:
    assert isinstance(lived(shared(takes=300, **TELL))[0], Done)
    late, after = lived(shared(takes=None, **TELL))
    assert isinstance(late, Stalled)
    assert late.reason == "DispatchSilent"
    assert 600 < after < 660


def test_a_run_that_ends_beside_a_silence_says_so_although_another_image_may_still_come() -> None:
    whole = shared(**TELL)
    third = {"name": "third", "image": f"{IMAGE}-3", "gate": "AllowUntested", "build": FOLLOW}
    templates = whole.store.document.model_dump(mode="json")["spec"]["templates"]
    whole.store.edit(templates=[*templates, third])
    result, after = lived(whole)
    assert isinstance(result, Stalled)
    assert result.reason == "DispatchSilent"
    assert result.message.endswith("Version 0.1.0 is awaited from whoever builds: third.")
    assert 600 < after < 660


def test_a_run_that_ends_beside_a_tag_that_was_moved_says_who_must_do_something() -> None:
    whole = shared()
    result, _ = lived(whole, lambda: whole.world.machine.images.update({f"{ECHO}:latest": STRANGE}))
    assert isinstance(result, Stalled)
    assert (result.reason, result.message) == (
        "TagMoved",
        (
            f"{ECHO}:latest was moved by somebody else: it stands for {STRANGE}, which is no image of this object."
            " It is left alone; `wsr resume` moves it to 0.1.0."
            " Version 0.1.0 is awaited from whoever builds: greeter."
        ),
    )
    assert result.status.condition("Stalled") is None, "an image may still come"


def test_a_run_ends_where_only_a_person_can_have_a_repository_tell_anything() -> None:
    whole = shared()
    result, after = lived(whole, lambda: whole.world.machine.refusing.add("images of echo"))
    assert isinstance(result, Stalled)
    assert (result.reason, result.message) == (
        "AwaitingDelivery",
        (
            "Version 0.1.0 is awaited from whoever builds: greeter."
            f" The images cannot be read: {ECHO}:latest: 401"
        ),
    )
    assert after < 60


def following_its_base() -> Life:
    """A fleet whose images are to follow their base."""
    build = {"directory": "echo", "rebuildOn": ["Version", "Base"]}
    whole = life(2, templates=[{"name": "echo", "image": ECHO, "build": build}])
    whole.patient = False
    return whole


def test_a_run_does_not_say_done_of_what_it_could_not_read_and_tries_once_more() -> None:
    whole = following_its_base()
    result, after = lived(whole, lambda: whole.world.machine.unread.add("bases"))
    assert isinstance(result, NotYet)
    assert (result.reason, result.message) == (
        "Unknown",
        f"The base image {BASE_NAME} cannot be read: it is away",
    )
    assert 5 <= after < 10


def test_a_run_that_is_to_wait_ends_well_when_what_could_not_be_read_answers() -> None:
    whole = following_its_base()
    whole.patient = True

    def away() -> None:
        machine = whole.world.machine
        machine.unread.add("bases")
        whole.events = [Event(seconds() + 300, "it answers", lambda: machine.unread.discard("bases"))]

    result, after = lived(whole, away)
    assert isinstance(result, Done)
    assert 300 <= after < 310


def test_a_run_ends_where_only_a_person_can_make_readable_what_an_image_follows() -> None:
    whole = following_its_base()
    result, _ = lived(whole, lambda: whole.world.machine.refusing.add("bases"))
    assert isinstance(result, Stalled)
    assert result.reason == "CredentialsMissing"


def test_what_an_image_follows_and_cannot_be_read_is_told_beside_a_target_that_is_held() -> None:
    whole = following_its_base()

    def held() -> None:
        whole.store.edit(version="0.1.1")
        whole.store.annotate(hold_targets='{"ws-1": "mine"}')
        whole.world.machine.unread.add("bases")

    result, _ = lived(whole, held)
    assert isinstance(result, NotYet)
    assert result.reason == "TargetsHeld"
    assert result.message.endswith(f". The base image {BASE_NAME} cannot be read: it is away")


def test_a_target_that_does_not_report_is_waited_for_as_long_as_it_may_take_to_start() -> None:
    whole = life(2)
    whole.patient = False
    box = whole.world.machine.boxes["docker/local/ws-1"]
    result, after = lived(whole, lambda: setattr(box, "silent", True))
    assert isinstance(result, NotYet)
    assert result.reason == "TargetsUnknown"
    assert 1800 <= after < 1900


def test_a_target_is_waited_for_anew_once_work_of_ours_has_come_between() -> None:
    whole = life(2)
    whole.patient = False
    box = whole.world.machine.boxes["docker/local/ws-1"]

    def silence() -> None:
        box.silent = True
        bump = Event(seconds() + 1000, "a version bump", lambda: whole.store.edit(version="0.1.1"))
        whole.events = [bump]

    result, after = lived(whole, silence)
    assert isinstance(result, NotYet)
    assert result.reason == "TargetsUnknown"
    assert 2800 <= after < 2900


@pytest.mark.parametrize("patient", [False, True])
def test_a_version_that_somebody_else_publishes_comes_when_they_do(*, patient: bool) -> None:
    plain = life().store.document
    package = plain.model_dump(mode="json")["spec"]["package"] | {"publish": "External"}
    whole = life(package=package)
    whole.patient = patient
    if patient:
        served = whole.world.machine.index
        whole.events = [Event(300, "somebody publishes it", lambda: served.update({"0.1.0": "a" * 64}))]
    result, _ = lived(whole)
    assert isinstance(result, Done if patient else NotYet)
    assert patient or result.status.condition("Ready").reason == "PublishedElsewhere"  # type: ignore[union-attr]


def test_an_image_that_comes_late_and_fails_in_the_fleet_is_tried_once_and_holds_nobody_else() -> None:
    whole = shared(6, takes=300, patient=True)
    machine = whole.world.machine
    machine.bad_in_fleet = {
        ("0.1.0", box.name) for box in machine.boxes.values() if box.template == "greeter"
    }
    result, _ = lived(whole)
    assert isinstance(result, Stalled)
    assert result.reason == "RolloutFailed"
    tried = [
        each for each in whole.world.performed if isinstance(each, Replace) and each.template == "greeter"
    ]
    assert len(tried) <= 2, "as many as may be down at a time, and no more"
    assert result.status.last_known_good == "0.1.0"
    assert {box.version for box in machine.boxes.values() if box.template == "echo"} == {"0.1.0"}
