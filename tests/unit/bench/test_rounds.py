"""Sides take turns, and what an outside client notes becomes gaps."""

import hashlib
from pathlib import Path

from builder.stages.collect import check_names, collect
from builder.stages.rewrite import rewrite
from builder.tree import read_tree
from tests.bench.chain import stages
from tests.bench.module_tree import write_tree
from tests.bench.outside import Gaps
from tests.bench.site import alternate
from tests.templates.generate import write_templates


def test_every_round_begins_with_another_side() -> None:
    order: list[str] = []

    def side(name: str) -> str:
        order.append(name)
        return name

    first, second = alternate(3, lambda _: side("a"), lambda _: side("b"))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert (first, second) == (["a"] * 3, ["b"] * 3)


def test_a_gap_lies_between_the_answers_around_failures() -> None:
    gaps = Gaps()
    for asked, answered in [(0.0, True), (1.0, True), (1.5, False), (2.0, False), (3.0, True), (9.0, True)]:
        gaps.note(asked, answered=answered)
    assert gaps.longest == 2.0


def test_a_port_that_never_answered_or_never_came_back_has_no_gap() -> None:
    gaps = Gaps()
    for asked, answered in [(0.0, False), (1.0, True), (2.0, False)]:
        gaps.note(asked, answered=answered)
    assert gaps.longest == 0.0


def test_a_measured_tree_is_the_same_each_time_and_the_builder_takes_all_of_it(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        assert write_tree(tmp_path / name, modules=40, lines=70) == 2954
        tree = read_tree(tmp_path / name)
        digests.add(tree.sha256(tree.read()))
    assert len(digests) == 1
    collected = collect(tree, tree.read())
    check_names(collected, "molecule_runtime")
    assert len(collected.files) == 40
    rewritten = rewrite(collected, "molecule_runtime").files
    assert all(rewritten[path] != content for path, content in collected.files.items())


def test_eight_templates_are_written_and_no_two_are_the_same(tmp_path: Path) -> None:
    names = write_templates(tmp_path)
    assert len(names) == 8
    for file in ("adapter.py", "requirements.txt", "config.yaml"):
        digests = {hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for name in names}
        assert len(digests) == 8
    for name in names:
        compile((tmp_path / name / "adapter.py").read_text(), name, "exec")


def test_the_stages_of_a_run_are_the_ends_of_its_actions() -> None:
    log = """[   0.1s] package 0.1.1: because no record and no index has this version
[   2.5s] package 0.1.1: a.whl 971eee9f43bb
[   3.0s] probe 0.1.1 plain: because its image has not been proven
[   4.0s] probe 0.1.1 plain: passed
[  12.5s] probe 0.1.1 polite: passed
Rolled out."""
    assert stages(log) == {"package": 2.5, "probe": 12.5}
