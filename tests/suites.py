"""How long each suite may take on two processors, and how long it took: the table at the end of `make test`.

A suite is a folder under tests/; lint and the runtime's own tests run before this process and leave their times in the
file that SUITE_SECONDS names, one `suite seconds` a line. Where workers share the tests, each second of one is that part
of a second, so that the suites add up to what the whole takes. BEGAN is when that began, in seconds of the epoch.
"""

import os
import time
from collections import defaultdict
from pathlib import Path

import pytest

BUDGET_SECONDS = {
    "lint": 75,
    "workspace": 45,
    "workspace-wheel": 45,
    "unit": 15,
    "golden": 15,
    "parts": 10,
    "conformance": 30,
    "cluster": 30,
    "contract": 180,
    "integration": 340,
    "adapters": 75,
    "e2e": 640,
    "all": 1200,
}
_TESTS = Path(__file__).resolve().parent


class SuiteTimes:
    """Adds up what the tests of each suite took, set-up of shared parts counted where they are first needed."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[suite_of(report.nodeid)] += report.duration / self._workers

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if os.environ.get("SUITE_SECONDS") is None:
            return
        terminalreporter.section("seconds per suite")
        seconds = {**_noted(Path(os.environ["SUITE_SECONDS"])), **self.seconds}
        if began := os.environ.get("BEGAN"):
            seconds["all"] = time.time() - int(began)
        for line in table(seconds):
            terminalreporter.write_line(line)


def table(seconds: dict[str, float]) -> list[str]:
    """Rows in the order of the budgets; a suite without a budget is over it, so that it gets one."""
    rows = [f"{'suite':<18}{'seconds':>9}{'budget':>8}"]
    for suite in [*BUDGET_SECONDS, *sorted(set(seconds) - set(BUDGET_SECONDS))]:
        if suite in seconds:
            budget = BUDGET_SECONDS.get(suite, 0)
            over = "  over" if seconds[suite] > budget else ""
            rows.append(f"{suite:<18}{seconds[suite]:>9.1f}{budget:>8}{over}")
    return rows


def suite_of(nodeid: str) -> str:
    """The suite of a test: the folder under tests/ that it is in."""
    parts = Path(nodeid.partition("::")[0]).parts
    return parts[1] if len(parts) > 1 and parts[0] == _TESTS.name else "other"


def _noted(file: Path) -> dict[str, float]:
    if not file.exists():
        return {}
    return {suite: float(seconds) for suite, seconds in map(str.split, file.read_text().splitlines())}


def pytest_configure(config: pytest.Config) -> None:
    workers = config.getoption("numprocesses", None) or 1
    config.pluginmanager.register(SuiteTimes(workers), "suite-times")
