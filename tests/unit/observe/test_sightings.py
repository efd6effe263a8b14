"""When what was seen of a target moments ago may stand in for asking again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller.model.container import ContainerState, ContainerSummary
from controller.model.observed import Known, Unknown
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.target import Phase, Succession, Target
from controller.observe.docker_hosts import Sightings
from controller.plan.units import Unit

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)
TEMPLATES = {"echo": "workspace-template-echo"}
SERVING = ContainerSummary("id-1", "ws-1", "image", "sha256:1", ContainerState.RUNNING, {"a": "b"})
UNIT = Unit("ws-1", old=SERVING)
TARGET = Target(
    "docker/local/ws-1", "local", "ws-1", "echo", None, "id-1", "image", "sha256:1", ContainerState.RUNNING,
    Known(RuntimeReport("runtime", "0.1.0", "0" * 64, RuntimeState.SERVING)),
)  # fmt: skip


@pytest.fixture
def seen() -> Sightings:
    sightings = Sightings()
    sightings.begin(TEMPLATES, NOW)
    sightings.keep(TARGET, UNIT, ["beside"], since=NOW)
    sightings.begin(TEMPLATES, SOON)
    return sightings


def test_a_target_that_answered_moments_ago_is_not_asked_again(seen: Sightings) -> None:
    assert seen.recall(UNIT, ["beside"]) == TARGET
    assert seen.recall(Unit("ws-2", old=SERVING), ["beside"]) is None


@pytest.mark.parametrize(
    "unit",
    [
        Unit("ws-1", old=replace(SERVING, state=ContainerState.EXITED)),
        Unit("ws-1", old=replace(SERVING, id="id-2")),
        Unit("ws-1", old=replace(SERVING, addresses={"bridge": "172.17.0.9"})),
        Unit("ws-1", old=SERVING, new=replace(SERVING, id="id-2", name="wsr-next-ws-1")),
    ],
)
def test_a_target_whose_containers_look_otherwise_is_asked_again(seen: Sightings, unit: Unit) -> None:
    assert seen.recall(unit, ["beside"]) is None


def test_a_target_that_lends_its_network_to_another_one_now_is_looked_at_again(seen: Sightings) -> None:
    assert seen.recall(UNIT, ["beside", "another"]) is None


@pytest.mark.parametrize("container", ["ws-1", "id-1"])
def test_a_target_that_something_happened_to_is_asked_again(seen: Sightings, container: str) -> None:
    seen.touch(container, SOON)
    assert seen.recall(UNIT, ["beside"]) is None
    seen.keep(TARGET, UNIT, ["beside"], since=SOON + timedelta(seconds=1))
    assert seen.recall(UNIT, ["beside"]) == TARGET


def test_what_happened_while_a_target_was_read_counts_as_after_it(seen: Sightings) -> None:
    seen.touch("id-1", SOON + timedelta(milliseconds=5))
    seen.keep(TARGET, UNIT, ["beside"], since=SOON)
    assert seen.recall(UNIT, ["beside"]) is None


def test_nothing_stands_in_for_longer_than_five_seconds(seen: Sightings) -> None:
    seen.begin(TEMPLATES, NOW + timedelta(seconds=4.9))
    assert seen.recall(UNIT, ["beside"]) == TARGET
    seen.begin(TEMPLATES, NOW + timedelta(seconds=5))
    assert seen.recall(UNIT, ["beside"]) is None


def test_nothing_outlives_its_time_when_the_clock_is_set_back(seen: Sightings) -> None:
    seen.begin(TEMPLATES, NOW - timedelta(hours=1))
    assert seen.recall(UNIT, ["beside"]) is None


def test_what_was_read_before_the_engine_was_lost_is_not_kept_after_it(seen: Sightings) -> None:
    seen.forget_all()
    seen.keep(TARGET, UNIT, ["beside"], since=SOON)
    assert seen.recall(UNIT, ["beside"]) is None
    seen.begin(TEMPLATES, SOON)
    seen.keep(TARGET, UNIT, ["beside"], since=SOON)
    assert seen.recall(UNIT, ["beside"]) == TARGET


def test_other_templates_and_a_lost_engine_forget_all(seen: Sightings) -> None:
    seen.begin({"echo": "elsewhere"}, SOON)
    assert seen.recall(UNIT, ["beside"]) is None
    seen.keep(TARGET, UNIT, ["beside"], since=SOON)
    seen.forget_all()
    assert seen.recall(UNIT, ["beside"]) is None


@pytest.mark.parametrize(
    "target",
    [
        replace(TARGET, running=Unknown("no answer", NOW)),
        replace(TARGET, succession=Succession(Phase.SWITCHING, "id-1", "id-2", "sha256:2", None, None)),
    ],
)
def test_what_is_unknown_or_under_way_is_never_kept(target: Target) -> None:
    sightings = Sightings()
    sightings.begin(TEMPLATES, NOW)
    sightings.keep(target, UNIT, [], since=NOW)
    assert sightings.recall(UNIT, []) is None


def test_an_image_is_read_again_after_moments_or_when_events_were_missed(seen: Sightings) -> None:
    seen.keep_image("sha256:1", {"Id": "sha256:1"}, since=SOON)
    assert seen.image("sha256:1") == {"Id": "sha256:1"}
    seen.begin(TEMPLATES, SOON + timedelta(seconds=6))
    assert seen.image("sha256:1") is None
    seen.keep_image("sha256:1", {"Id": "sha256:1"}, since=SOON)
    seen.forget_all()
    assert seen.image("sha256:1") is None


@pytest.mark.parametrize(("container", "asked"), [("id-1", True), ("id-2", False), ("", True)])
def test_an_event_has_its_container_asked_again_and_one_of_no_container_all(
    seen: Sightings, container: str, *, asked: bool
) -> None:
    seen.heard(container, SOON)
    assert (seen.recall(UNIT, ["beside"]) is None) is asked
