"""What a status keeps of what was asked for before."""

from controller.api.status import Status
from tests.unit.simulator.nouns import (
    observation,
    record,
    target,
)
from tests.unit.status.ground import status
from tests.unit.status.test_rollback import rolled_back


def history(made: Status) -> list[tuple[str, str]]:
    return [(entry.version, entry.verdict) for entry in made.history]


def test_history_tells_what_was_asked_for_and_what_became_of_it() -> None:
    made = status(observation(record()))
    assert history(made) == [("0.1.0", "Good")]
    made = status(observation(record()), "0.1.1", previous=made)
    assert history(made) == [("0.1.1", "InProgress"), ("0.1.0", "Good")]
    made = status(observation(record()), "0.1.2", previous=made)
    assert history(made) == [("0.1.2", "InProgress"), ("0.1.1", "Superseded"), ("0.1.0", "Good")]


def test_a_failed_version_is_in_progress_again_once_it_is_resumed() -> None:
    failed = rolled_back(target("ws-1", "0.1.0"))
    assert history(failed) == [("0.1.1", "Failed")]
    assert failed.history[0].reason == "RolloutFailed"
    resumed = record("0.1.1", verdict=None)
    again = status(observation(record(), resumed), "0.1.1", previous=failed)
    assert history(again) == [("0.1.1", "InProgress")]
    assert again.history[0].finished_time is None


def test_history_keeps_the_last_ten() -> None:
    made = None
    for index in range(12):
        made = status(observation(), f"0.1.{index}", previous=made)
    assert made is not None
    assert len(made.history) == 10
    assert made.history[0].version == "0.1.11"
