"""Each statement holds of the runtime, and would be missed."""

import httpx
import pytest

from tests.conformance import cards, old, pushing, requests, sending, streams, tasks
from tests.conformance.agent import Agent
from tests.conformance.statements import Statement

STATEMENTS = [
    row for part in (cards, sending, tasks, streams, pushing, requests, old) for row in part.TABLE.rows
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_the_runtime_does_what_a2a_demands(agent: Agent, statement: Statement) -> None:
    statement.check(agent)


@pytest.mark.parametrize("statement", STATEMENTS, ids=str)
def test_a_small_fault_of_an_answer_is_noticed(
    agent: Agent, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conformance.agent.PATIENCE_SECONDS", 1.5)
    with pytest.raises((AssertionError, LookupError, httpx.TransportError)):
        statement.check(agent.spoiled(statement.fault))
