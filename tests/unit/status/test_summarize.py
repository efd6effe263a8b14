"""The status says what is true, why, and what is not known; kstatus holds whatever the state is."""

from controller.api.status import Status
from controller.model.observed import Known
from controller.model.plan import Failure
from tests.unit.simulator.ground import sha
from tests.unit.simulator.nouns import (
    TREE,
    observation,
    record,
    target,
)
from tests.unit.simulator.virtual_time import NOON
from tests.unit.status.ground import LATER, conditions, status
from tests.unit.status.test_failures import failing


def test_an_object_that_is_up_to_date_says_so_and_nothing_else() -> None:
    made = status(observation(record(), targets=Known((target(), target("ws-2")))))
    assert conditions(made) == {
        "Ready": ("True", "UpToDate", "All 2 targets run 0.1.0."),
        "Published": ("True", "Served", "The index serves 0.1.0."),
        "ImagesBuilt": ("True", "Proven", "Every template has booted and answered with 0.1.0."),
        "RolledOut": ("True", "UpToDate", "All 2 targets run 0.1.0."),
    }
    assert made.observed_generation == 3
    assert made.last_known_good == "0.1.0"
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date, made.rollout.held) == (2, 2, 0)


def test_the_first_pass_says_that_work_is_under_way() -> None:
    made = status(observation())
    assert conditions(made) == {
        "Ready": ("False", "Building", "Version 0.1.0 is being built."),
        "Published": ("False", "Pending", "Version 0.1.0 is not public."),
        "ImagesBuilt": ("False", "Building", "Version 0.1.0 is being built."),
        "RolledOut": ("False", "Pending", "Version 0.1.0 is not ready to be rolled out."),
        "Reconciling": ("True", "Building", "Version 0.1.0 is being built."),
    }
    assert made.resolved_version is None


def test_a_held_object_neither_reconciles_nor_stalls_and_goes_on_looking() -> None:
    seen = observation(record(), targets=Known((target(), target("ws-2", "0.0.9"))))
    made = status(seen, annotations={"runtime.molecule.ai/hold": "an audit"})
    text = "The object is held: an audit. `wsr resume` lets it go on, or remove its annotation runtime.molecule.ai/hold."
    assert conditions(made)["Ready"] == conditions(made)["RolledOut"] == ("False", "Held", text)
    assert not {"Reconciling", "Stalled"} & conditions(made).keys()
    assert made.held == text
    assert made.rollout is not None
    assert (made.rollout.total, made.rollout.up_to_date) == (2, 1)


# --- failed versions


# --- details


def test_versions_and_bytes_are_those_of_the_record() -> None:
    made = status(observation(record()))
    assert made.resolved_version == "0.1.0"
    assert made.source is not None
    assert made.source.tree_sha256 == TREE
    assert made.package is not None
    assert made.package.wheel_sha256 == sha("wheel 0.1.0")


def test_a_message_of_several_lines_becomes_one() -> None:
    failure = Failure("BuildFailed", "one\n  two", None)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"][2] == "one two"


# --- times and history


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    before = status(observation())
    building = status(observation(record(templates={}, verdict=None, published_time=None)), previous=before)
    ready = building.condition("Ready")
    assert ready is not None
    assert ready.last_transition_time == NOON
    done = status(observation(record()), previous=before).condition("Ready")
    assert done is not None
    assert done.last_transition_time == LATER


def test_a_status_survives_its_journey_through_json() -> None:
    made = status(observation(record(), targets=Known((target("ws-1", "0.0.9"),))))
    assert Status.model_validate_json(made.model_dump_json()) == made
