"""What workers share out: whole files, and to one of them, at once, all that needs a cluster."""

from tests.workers import piece_of, rank_of

CLUSTER = "tests/e2e/test_workloads.py::test_one[a]@cluster"


def test_a_file_is_one_piece_and_all_that_needs_a_cluster_another() -> None:
    assert piece_of("tests/e2e/test_tags.py::test_one[a@b]") == "tests/e2e/test_tags.py"
    assert piece_of(CLUSTER) == piece_of("tests/cluster/test_node.py::test_two@cluster") == "cluster"


def test_what_takes_longest_is_begun_first() -> None:
    suites = ("tests/e2e/test_tags.py::a", "tests/contract/test_hooks.py::a", "tests/unit/api/test_crd.py::a")
    ranks = [rank_of(nodeid) for nodeid in (CLUSTER, *suites)]
    assert ranks == sorted(set(ranks))
