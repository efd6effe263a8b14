"""Unit tests are cut off from the network, and the table of suites says who took too long."""

import asyncio
import socket

import pytest
import pytest_socket

from tests.suites import table


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_unit_test_that_opens_a_connection_fails() -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def test_an_event_loop_runs_all_the_same() -> None:
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"


def test_a_suite_over_its_budget_is_marked() -> None:
    rows = table({"unit": 15.1, "parts": 1.0})
    assert [row.split() for row in rows[1:]] == [["unit", "15.1", "15", "over"], ["parts", "1.0", "60"]]


def test_a_suite_without_a_budget_is_marked_until_it_gets_one() -> None:
    assert table({"new": 0.1})[-1].split() == ["new", "0.1", "0", "over"]
