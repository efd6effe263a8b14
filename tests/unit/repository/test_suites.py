"""Unit tests are cut off from the network, and the table of suites says who took too long."""

import asyncio
import socket

import pytest
import pytest_socket

from tests.suites import BUDGET_SECONDS, SuiteTimes, table


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_unit_test_that_opens_a_connection_fails() -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def test_an_event_loop_runs_all_the_same() -> None:
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"


def test_a_suite_over_its_budget_is_marked() -> None:
    unit, parts = (str(BUDGET_SECONDS[suite]) for suite in ("unit", "parts"))
    rows = table({"unit": BUDGET_SECONDS["unit"] + 0.1, "parts": 1.0})
    assert [row.split() for row in rows[1:]] == [["unit", f"{unit}.1", unit, "over"], ["parts", "1.0", parts]]


def test_a_suite_without_a_budget_is_marked_until_it_gets_one() -> None:
    assert table({"new": 0.1})[-1].split() == ["new", "0.1", "0", "over"]


def test_a_second_of_one_worker_is_that_part_of_a_second() -> None:
    times = SuiteTimes(workers=2)
    for suite, seconds in (("unit", 3.0), ("unit", 1.0), ("e2e", 4.0)):
        place = (f"tests/{suite}/test_one.py", 1, "test_one")
        report = pytest.TestReport(
            f"{place[0]}::test_one", place, {}, "passed", None, "call", duration=seconds
        )
        times.pytest_runtest_logreport(report)
    assert times.seconds == {"unit": 2.0, "e2e": 2.0}
