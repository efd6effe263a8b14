"""What a status says of a version that failed and of the way back."""

from typing import Any

from controller.api.status import Status
from controller.model.observed import Known
from controller.model.plan import Failure
from tests.unit.simulator.nouns import (
    AWAY,
    observation,
    record,
    served,
    target,
)
from tests.unit.status.ground import FAILED, LATER, conditions, status
from tests.unit.status.test_failures import failing


def rolled_back(*targets: Any, **changes: Any) -> Status:  # noqa: ANN401 -- targets, and any field
    seen = observation(
        record(),
        FAILED,
        **{"images": Known(served(record(), FAILED, latest="0.1.0")), "targets": Known(targets), **changes},
    )
    return status(seen, "0.1.1")


def test_a_rollback_is_told_while_it_goes_on() -> None:
    made = conditions(rolled_back(target("ws-1", "0.1.1"), target("ws-2", "0.1.0")))
    assert made["Ready"] == (
        "False",
        "RolloutFailed",
        "It is failed. Version 0.1.1 is held; `wsr resume` tries it again.",
    )
    assert made["Reconciling"] == ("True", "RollingBack", "To bring back to 0.1.0: 1 of 2 targets.")
    assert "Stalled" not in made


def test_a_rollback_that_is_through_stalls_with_the_reason_of_the_failure() -> None:
    made = conditions(rolled_back(target("ws-1", "0.1.0")))
    assert made["Stalled"][:2] == ("True", "RolloutFailed")
    assert "Reconciling" not in made


def test_a_rollback_is_not_through_while_tags_name_the_version_that_failed() -> None:
    images = Known(served(record(), FAILED, latest="0.1.1"))
    made = conditions(rolled_back(target("ws-1", "0.1.0"), images=images))
    assert made["Reconciling"] == ("True", "RollingBack", "To bring back to 0.1.0: 0 of 1 targets.")
    assert "Stalled" not in made


def test_a_rollback_is_not_through_while_a_step_of_it_is_tried_again() -> None:
    targets = (target("ws-1", "0.1.1"),)
    seen = observation(
        record(),
        FAILED,
        images=Known(served(record(), FAILED, latest="0.1.0")),
        targets=Known(targets),
    )
    failure = Failure("Rolling", "The engine is away; trying again.", LATER)
    made = conditions(status(seen, "0.1.1", progress=failing(seen, failure, "0.1.1")))
    assert made["Reconciling"][:2] == ("True", "RollingBack")
    assert "Stalled" not in made


def test_a_rollback_is_not_through_while_the_targets_cannot_be_read() -> None:
    made = conditions(rolled_back(targets=AWAY))
    assert made["Reconciling"] == ("True", "RollingBack", "The targets cannot be read: it is away")


def test_counts_of_a_held_version_are_those_of_what_was_asked_for() -> None:
    made = rolled_back(target("ws-1", "0.1.0", busy=True), target("ws-2", "0.1.0"))
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date, made.rollout.busy) == (2, 0, 0)
    assert made.held == "It is failed. Version 0.1.1 is held; `wsr resume` tries it again."
    assert made.stragglers == ()
