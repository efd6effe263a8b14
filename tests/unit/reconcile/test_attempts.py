"""What failed is tried again ever more slowly, never for ever faster, and not at all where somebody must act first."""

from datetime import timedelta

import pytest

from controller.model.actions import Adopt, Cascade, Judge, Publish, Replace, TemplateBuild
from controller.model.errors import NotFound, PartlyFailed, Terminal, Transient, Waiting
from controller.model.plan import Failure
from controller.reconcile.attempts import LAST_RETRY_SECONDS, Attempts, back_off
from tests.unit.simulator.virtual_time import NOON

PUBLISH = Publish("0.1.0", "abc", "every template passed the gate")


def test_the_wait_doubles_from_one_second_to_a_minute() -> None:
    seconds = [back_off(count).total_seconds() for count in range(1, 10)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_wait_is_bounded_however_often_it_failed() -> None:
    assert back_off(1_000_000).total_seconds() == LAST_RETRY_SECONDS


def failure_after(*errors: Exception) -> tuple[str, str, float | None]:
    attempts = Attempts()
    for error in errors:
        attempts.failed(PUBLISH, error, NOON)
    failure = attempts.failures[PUBLISH.key]
    wait = (failure.retry_time - NOON).total_seconds() if failure.retry_time else None
    return failure.reason, failure.message, wait


def test_a_transient_failure_is_told_under_the_stage_of_its_action() -> None:
    assert failure_after(Transient("The index answered 503.")) == (
        "Publishing",
        "The index answered 503; trying again.",
        1,
    )


def test_a_wait_that_the_other_side_asked_for_is_kept() -> None:
    assert failure_after(Transient("Too many requests", retry_after=120))[2] == 120
    assert failure_after(Waiting("the task of ws-1", retry_after=30)) == (
        "Publishing",
        "Waiting for the task of ws-1; trying again.",
        30,
    )


def test_a_terminal_failure_carries_its_reason_and_cure_and_no_time() -> None:
    error = Terminal("CredentialsMissing", "There are no credentials.", fix="Set PYPI_TOKEN.")
    assert failure_after(error) == ("CredentialsMissing", "There are no credentials. Set PYPI_TOKEN.", None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotFound("ws-1 is gone"), "ws-1 is gone; trying again."),
        (KeyError("x"), "Unexpected KeyError: 'x'; trying again."),
        (RuntimeError("one\n two\nthree"), "Unexpected RuntimeError: one (and 2 more lines); trying again."),
        (Transient(""), "no message; trying again."),
    ],
)
def test_any_other_failure_is_tried_again_and_told_on_one_line(error: Exception, message: str) -> None:
    assert failure_after(error)[1:] == (message, 1)


def test_failures_in_a_row_wait_longer_and_a_success_ends_the_row() -> None:
    assert failure_after(*[Transient("no")] * 4)[2] == 8
    attempts = Attempts()
    for _ in range(4):
        attempts.failed(PUBLISH, Transient("no"), NOON)
    attempts.succeeded(PUBLISH, NOON)
    assert attempts.failures == {}
    attempts.failed(PUBLISH, Transient("no"), NOON)
    assert attempts.failures[PUBLISH.key].retry_time == NOON + timedelta(seconds=1)


def test_actions_fail_each_for_themselves() -> None:
    attempts = Attempts()
    attempts.failed(PUBLISH, Transient("no"), NOON)
    attempts.failed(PUBLISH, Transient("no"), NOON)
    other = Replace("docker/local/ws-1", "0.1.0", "echo", "sha256:1", "stale")
    attempts.failed(other, Transient("no"), NOON)
    assert attempts.failures[other.key].retry_time == NOON + timedelta(seconds=1)
    assert attempts.failures[other.key].reason == "Rolling"


def test_an_action_that_is_undone_again_and_again_slows_down_and_says_so() -> None:
    attempts = Attempts()
    judge = Judge("0.1.0", "every target has proven the release")
    attempts.succeeded(judge, NOON)
    assert attempts.failures == {}
    for count, seconds in ((2, 1), (3, 2), (4, 4)):
        attempts.succeeded(judge, NOON)
        failure = attempts.failures[judge.key]
        assert failure.reason == "Promoting"
        assert failure.message == f"It was done {count} times and is wanted again: something undoes it."
        assert failure.retry_time == NOON + timedelta(seconds=seconds)


def test_what_is_done_again_after_a_long_time_is_not_held_against_it() -> None:
    attempts = Attempts()
    for day in range(5):
        attempts.succeeded(Adopt("0.1.0", "served"), NOON + timedelta(days=day))
    assert attempts.failures == {}


def test_waiting_for_a_targets_work_is_a_stage_of_its_own() -> None:
    attempts = Attempts()
    replacement = Replace("docker/local/ws-1", "0.1.0", "echo", "sha256:1", "stale")
    attempts.failed(replacement, Waiting("docker/local/ws-1: 1 task", retry_after=30), NOON)
    assert attempts.failures[replacement.key].reason == "Draining"


CASCADE = Cascade(
    "0.1.0",
    "wheel",
    tuple(TemplateBuild(name, "1", "WheelChanged", rebuild=False) for name in ("echo", "greeter")),
    "echo: WheelChanged, greeter: WheelChanged",
)


def test_a_partly_failed_cascade_is_held_against_the_template_that_failed() -> None:
    attempts = Attempts()
    error = PartlyFailed(
        {"greeter": Terminal("BuildFailed", "Template greeter: no.", fix="Correct the template.")}
    )
    attempts.failed(CASCADE, error, NOON)
    failed = Failure("BuildFailed", "Template greeter: no. Correct the template.", None)
    assert attempts.failures == {CASCADE.parts[1].key: failed}


def test_each_template_of_a_cascade_has_a_cause_of_its_own_and_waits_for_that() -> None:
    attempts = Attempts()
    broken = Terminal("BuildFailed", "Template echo: no.", fix="Correct the template.")
    away = Transient("Template greeter: the registry is away.", retry_after=7)
    attempts.failed(CASCADE, PartlyFailed({"echo": broken, "greeter": away}), NOON)
    assert attempts.failures == {
        CASCADE.parts[0].key: Failure("BuildFailed", "Template echo: no. Correct the template.", None),
        CASCADE.parts[1].key: Failure(
            "Building",
            "Template greeter: the registry is away; trying again.",
            NOON + timedelta(seconds=7),
        ),
    }


def test_a_cascade_that_could_not_be_tried_waits_with_all_its_templates() -> None:
    attempts = Attempts()
    attempts.failed(CASCADE, Transient("The engine is away."), NOON)
    assert attempts.failures.keys() == {part.key for part in CASCADE.parts}
    attempts.succeeded(CASCADE, NOON)
    assert attempts.failures == {}


def test_all_is_forgotten_when_something_else_is_asked_for() -> None:
    attempts = Attempts()
    attempts.failed(PUBLISH, Terminal("X", "No.", fix="Do."), NOON)
    attempts.forget()
    assert attempts.failures == {}
