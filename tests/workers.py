"""How tests are shared out to workers, processes that run side by side: what has a dear part in common stays together.

Tests wait for parts, so that there is one worker more than processors; each makes the releases that its tests begin with,
so that many more would make more of them than they save.
"""

import os
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.suites import suite_of

_MOST_WORKERS: Final = 6
_CLUSTER: Final = "cluster"
"""The fixture that starts one, and what the tests that need it are marked with: it takes a quarter of a processor idle."""
_LONGEST_FIRST: Final = ("e2e", "adapters", "integration", "contract", "parts")
"""The rest is cut into so many small pieces that all workers end at about the same time."""


def piece_of(nodeid: str) -> str:
    """What one worker does alone: a file, since a module may have parts of its own, or all that needs a cluster.

    `nodeid` is as pytest-xdist writes it, with `@` and the group where the test is in one.
    """
    return _CLUSTER if nodeid.endswith(f"@{_CLUSTER}") else nodeid.partition("::")[0]


def rank_of(nodeid: str) -> int:
    """When it is begun: the cluster's tests, of which no second worker can take any, at once."""
    suite = suite_of(nodeid)
    if piece_of(nodeid) == _CLUSTER:
        return 0
    return 1 + (_LONGEST_FIRST.index(suite) if suite in _LONGEST_FIRST else len(_LONGEST_FIRST))


class SharedOut(LoadScopeScheduling):  # type: ignore[misc]  # its types are not known
    """Gives each worker the next piece when it has ended its last one."""

    def _split_scope(self, nodeid: str) -> str:
        return piece_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedOut:
    config.option.loadscopereorder = False  # it takes many tests for much work
    return SharedOut(config, log)


class _Marked:
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if _CLUSTER in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(_CLUSTER))


class _Ordered:
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if hasattr(config, "workerinput"):
            items.sort(key=lambda item: rank_of(item.nodeid))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Marked(), "marked-for-workers")
    config.pluginmanager.register(_Ordered(), "ordered-for-workers")
