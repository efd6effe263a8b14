"""How tests are shared out to workers, processes that run side by side: what has a dear part in common stays together.

Tests wait for parts, so that there is one worker more than processors; many more would start more parts of their own than
they save. The releases that tests of the whole chain begin with are made once for all workers (`tests/e2e/scene.py`).
"""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.suites import suite_of

_MOST_WORKERS = 6
_CLUSTER = (
    "tests/cluster/",
    "tests/contract/charts/test_installed",
    "tests/contract/charts/test_operator",
    "tests/contract/images/test_images_in_pods",
    "tests/contract/kubernetes/",
    "tests/integration/jobs/",
    "tests/integration/probe/test_probe_pods",
    "tests/integration/workloads/",
    "tests/e2e/test_operator",
    "tests/e2e/test_rights",
    "tests/e2e/test_workloads",
)
"""Where tests begin that need one: it takes a quarter of a processor even when it is idle."""
_THE_CLUSTER = "the cluster"
_LONGEST_FIRST = (_THE_CLUSTER, "e2e", "adapters", "integration", "contract", "parts")
"""What is one piece of work of a third of it all comes first; the rest is cut into so many small ones that all workers end at about the same time."""


class SharedOut(LoadScopeScheduling):  # type: ignore[misc]  # its types are not known
    """A file, or all that needs a cluster, is one piece of work."""

    def _split_scope(self, nodeid: str) -> str:
        return _THE_CLUSTER if nodeid.startswith(_CLUSTER) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedOut:
    config.option.loadscopereorder = False  # it takes many tests for much work
    return SharedOut(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    suite = _THE_CLUSTER if nodeid.startswith(_CLUSTER) else suite_of(nodeid)
    return _LONGEST_FIRST.index(suite) if suite in _LONGEST_FIRST else len(_LONGEST_FIRST)
