"""Going back by its owner's word: to a release that can be run, for all targets, once, and for good."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.conditions import Reason
from controller.model.actions import Promote, Replace, RollBack
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.record import ReleaseRecord
from controller.plan.decide import decide
from controller.plan.rollback import destination, refusal, rollback, rolled_back
from controller.plan.state import Held, classify, images_for_new
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import observation, record, served, target, template_record, verdict
from tests.unit.simulator.virtual_time import NOON

OLD, GOOD, NOW = (
    record("0.1.0", verdict=verdict("Good")),
    record("0.1.1", verdict=verdict("Good", 1)),
    record("0.1.2", verdict=verdict("Good", 2)),
)
ASKED = "runtime.molecule.ai/rollback-to"


def known(*records: ReleaseRecord) -> Mapping[str, ReleaseRecord]:
    return {each.version: each for each in records}


def left_for(version: str) -> ReleaseRecord:
    return rolled_back(NOW, version, NOON)


def held(*targets: Any, to: str = "0.1.0", latest: str = "0.1.2", **spec: Any) -> Held:  # noqa: ANN401 -- targets, and any field
    records = (OLD, GOOD, left_for(to))
    seen = observation(*records, images=Known(served(*records, latest=latest)), targets=Known(tuple(targets)))
    state = classify(document("0.1.2", **spec), seen)
    assert isinstance(state, Held)
    return state


@pytest.mark.parametrize(
    ("records", "to", "words"),
    [
        ((), None, "Version 0.1.2 has no record, so there is nothing to go back from."),
        ((NOW,), None, "No other version was found good. Recorded besides 0.1.2: none."),
        ((OLD, NOW), "0.1.2", "0.1.2 is the version that the object asks for."),
        ((OLD, NOW), "0.1.9", "Version 0.1.9 has no record. Recorded besides 0.1.2: 0.1.0."),
        (
            (record("0.1.0", verdict=verdict("Failed")), NOW),
            "0.1.0",
            "Version 0.1.0 is held itself: It is failed.",
        ),
        (
            (
                record(
                    "0.1.0", verdict=None, templates={"echo": template_record("0.1.0", "echo", proven=False)}
                ),
                NOW,
            ),
            "0.1.0",
            "No image of version 0.1.0 has passed the gate.",
        ),
    ],
)
def test_where_there_is_nothing_to_go_back_to_that_is_said(
    records: tuple[ReleaseRecord, ...], to: str | None, words: str
) -> None:
    assert destination(known(*records), "0.1.2", to) == words


@pytest.mark.parametrize(
    ("to", "version"), [(None, "0.1.1"), ("last-known-good", "0.1.1"), ("0.1.0", "0.1.0")]
)
def test_without_a_name_the_last_known_good_is_meant(to: str | None, version: str) -> None:
    found = destination(known(OLD, GOOD, NOW), "0.1.2", to)
    assert isinstance(found, ReleaseRecord)
    assert found.version == version


def test_every_target_goes_back_whatever_it_runs_even_where_failures_would_pause() -> None:
    targets = (target("ws-1", "0.1.2"), target("ws-2", "0.1.1"), target("ws-3", "0.1.0"))
    state = held(*targets, rollout={"maxUnavailable": 5, "onFailure": "Pause"})
    assert state.reason == Reason.ROLLED_BACK
    assert state.message == (
        "Its owner went back from 0.1.2 to 0.1.0. Version 0.1.2 is held; `wsr resume` tries it again."
    )
    actions = decide(document("0.1.2"), state, Progress(), NOON).actions
    reason = "its owner went back from 0.1.2 to 0.1.0"
    rolls = {(each.target, each.version, each.reason) for each in actions if isinstance(each, Replace)}
    assert rolls == {(f"docker/local/{name}", "0.1.0", reason) for name in ("ws-1", "ws-2")}


def test_a_target_that_is_held_or_pinned_stays_where_it_is() -> None:
    state = held(target("ws-1", "0.1.2", hold="a demo"), target("ws-2", "0.1.2", pin="0.1.2"))
    assert state.fleet is not None
    assert [left.cause for left in state.fleet.untouched] == ["held: a demo", "pinned to 0.1.2"]
    assert state.fleet.stale == ()


@pytest.mark.parametrize("latest", ["0.1.2", "0.1.1"])
def test_moving_tags_go_back_too_so_that_who_follows_them_undoes_nothing(latest: str) -> None:
    history_of_both = held(latest=latest)
    promotes = [
        each
        for each in decide(document("0.1.2"), history_of_both, Progress(), NOON).actions
        if isinstance(each, Promote)
    ]
    moved = {(move.template, move.tag) for each in promotes for move in each.moves}
    expected = {("echo", "latest"), ("greeter", "latest")} if latest == "0.1.2" else set()
    assert moved == expected


def test_new_workspaces_use_what_was_gone_back_to() -> None:
    found = images_for_new(known(OLD, GOOD, left_for("0.1.0")), "0.1.2", "echo")
    assert [image.image.partition(":")[2][:5] for image in found] == ["0.1.0", "0.1.1"]


def test_what_was_gone_back_to_and_fails_itself_is_left_for_the_last_known_good() -> None:
    failed = record("0.1.0", verdict=verdict("Failed", 5))
    records = (failed, GOOD, left_for("0.1.0"))
    state = classify(document("0.1.2"), observation(*records, images=Known(served(*records))))
    assert isinstance(state, Held)
    assert state.fallback is not None
    assert state.fallback.version == "0.1.1"


def test_a_request_is_taken_up_once_and_by_the_version_that_it_was_made_for() -> None:
    asked = document("0.1.2", annotations={ASKED: "0.1.0 x"})
    records = (OLD, GOOD, NOW)
    state = classify(asked, observation(*records, images=Known(served(*records, latest="0.1.2"))))
    action = rollback(asked, state, Known(known(*records)))
    assert action == RollBack(
        "0.1.2", "0.1.0", "default/molecule-runtime 0.1.0 x", f"annotation {ASKED} asks for it"
    )
    taken = known(OLD, GOOD, left_for("0.1.0").going_back(action.request))
    assert rollback(asked, state, Known(taken)) is None
    later = document("0.1.3", annotations={ASKED: "0.1.0 x"})
    assert rollback(later, state, Known({**taken, "0.1.3": record("0.1.3")})) is None
    other = document("0.1.2", annotations={ASKED: "0.1.0 y"})
    assert rollback(other, state, Known(taken)) is not None


@pytest.mark.parametrize(("version", "meant"), [("0.1.2", True), ("0.1.1", False)])
def test_a_request_that_names_the_version_it_leaves_is_about_no_other(version: str, *, meant: bool) -> None:
    asked = document(version, annotations={ASKED: "0.1.0 from 0.1.2 at noon"})
    records = (OLD, GOOD, NOW)
    state = classify(asked, observation(*records, images=Known(served(*records, latest=version))))
    assert (rollback(asked, state, Known(known(*records))) is not None) is meant


def test_what_cannot_be_done_is_said_and_not_tried() -> None:
    asked = document("0.1.2", annotations={ASKED: "0.1.9"})
    records = Known(known(OLD, NOW))
    state = classify(asked, observation(OLD, NOW, images=Known(served(OLD, NOW, latest="0.1.2"))))
    assert rollback(asked, state, records) is None
    assert refusal(asked, records) == "Version 0.1.9 has no record. Recorded besides 0.1.2: 0.1.0."
    assert refusal(document("0.1.2"), records) is None


def test_what_its_owner_stopped_stays_where_it_is() -> None:
    asked = document("0.1.2", annotations={ASKED: "0.1.0", "runtime.molecule.ai/hold": "an audit"})
    records = Known(known(OLD, NOW))
    assert rollback(asked, classify(asked, observation(OLD, NOW)), records) is None
