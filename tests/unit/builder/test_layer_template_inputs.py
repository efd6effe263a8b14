"""What a full build is made of, part by part."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builder.contract import read_template_inputs, template_inputs_sha256
from builder.template_inputs import REQUIREMENTS_TOLD, full_build_inputs

PARTS = {"dockerfile_sha256", "requirements_sha256", "rest_sha256"}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("ARG BASE=python:3.11\nFROM ${BASE}\n")
    (tmp_path / "requirements.txt").write_text(
        "# ours\nmolecule>=0.1  # any\n--pre\nsmall==1.0 \\\n  --hash=sha256:1\n"
    )
    (tmp_path / "adapter.py").write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda folder: (folder / "Dockerfile").write_text("FROM other\n"), "dockerfile_sha256"),
        (lambda folder: (folder / "requirements.txt").write_text("small==2.0\n"), "requirements_sha256"),
        (lambda folder: (folder / "requirements.txt").unlink(), "requirements_sha256"),
        (lambda folder: (folder / "adapter.py").write_text("x = 2\n"), "rest_sha256"),
        (lambda folder: (folder / "adapter.py").chmod(0o755), "rest_sha256"),
    ],
)
def test_each_edit_moves_one_part_and_the_whole(
    template: Path, edit: Callable[[Path], object], part: str
) -> None:
    before = read_template_inputs(template, {})
    edit(template)
    after = read_template_inputs(template, {})
    assert {name for name in PARTS if getattr(before, name) != getattr(after, name)} == {part}
    assert before.sha256 != after.sha256


def test_a_build_argument_belongs_to_the_rest_and_moves_the_base(template: Path) -> None:
    before, after = read_template_inputs(template, {}), read_template_inputs(template, {"BASE": "mine:1"})
    assert {name for name in PARTS if getattr(before, name) != getattr(after, name)} == {"rest_sha256"}
    assert (before.bases, after.bases) == (("python:3.11",), ("mine:1",))


def test_the_whole_is_hashed_as_it_was_before_there_were_parts(template: Path) -> None:
    assert read_template_inputs(template, {"A": "1"}).sha256 == template_inputs_sha256(template, {"A": "1"})


def test_requirements_are_told_without_comments_and_options(template: Path) -> None:
    assert read_template_inputs(template, {}).requirements == ("molecule>=0.1", "small==1.0")
    lock = "".join(f"a{number}==1\n" for number in range(REQUIREMENTS_TOLD + 1))
    (template / "requirements.txt").write_text(lock)
    assert read_template_inputs(template, {}).requirements == ()


def test_a_full_build_is_named_by_inputs_bases_and_request() -> None:
    names = {
        full_build_inputs(inputs, bases, request)
        for inputs in ("a", "b")
        for bases in ({}, {"x": "1"}, {"x": "2"})
        for request in ("", "CVE-2026-1")
    }
    assert len(names) == 12
    assert full_build_inputs("a", {}, "") == "a"
    assert full_build_inputs("a", {"x": "1", "y": "2"}, "") == full_build_inputs(
        "a", {"y": "2", "x": "1"}, ""
    )
