"""Each template's own tests, run on its real framework, in a copy that stands alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.ground import REPOSITORY
from tests.parts.template import TEMPLATES, copied_out, environment

FRAMEWORKS = {"langgraph": "langgraph", "gemini-cli": "@google/gemini-cli"}
"""Of each template, what it takes to make it fail."""
SHARED = ("tests/template_workspace.py",)
"""What every template carries a copy of, since each stands alone."""


def run_tests(
    name: str, folder: Path, *arguments: str, without: str = ""
) -> subprocess.CompletedProcess[str]:
    python = environment(name, without=without) / "python"
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        command, cwd=copied_out(name, folder), env=environ, capture_output=True, text=True, check=False
    )


def test_these_are_all_the_templates() -> None:
    assert {folder.name for folder in TEMPLATES.iterdir()} == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_template_does_on_its_framework_what_it_promises(name: str, tmp_path: Path) -> None:
    done = run_tests(name, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed.group(1)) >= 10


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        pytest.param(name, framework, marks=[pytest.mark.long] if framework.startswith("@") else [])
        for name, framework in FRAMEWORKS.items()
    ],
)
def test_without_its_framework_a_template_fails(name: str, framework: str, tmp_path: Path) -> None:
    done = run_tests(name, tmp_path, "--maxfail=1", without=framework)
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_template_has_sound_types_against_its_framework(name: str, tmp_path: Path) -> None:
    folder = copied_out(name, tmp_path)
    python = environment(name) / "python"
    settings = ["--config-file", str(REPOSITORY / "pyproject.toml"), "--exclude", "^$"]
    command = [
        "-m",
        "mypy",
        *settings,
        "--python-executable",
        str(python),
        "--cache-dir",
        str(python.parent / "mypy"),
    ]
    done = subprocess.run(
        [sys.executable, *command, *map(str, folder.rglob("*.py"))], cwd=folder, env={**os.environ, "MYPYPATH": "tests"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", SHARED)
def test_copies_in_several_templates_are_the_same(file: str) -> None:
    assert len({(TEMPLATES / name / file).read_text() for name in FRAMEWORKS}) == 1


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_template_carries_the_license(name: str) -> None:
    assert (TEMPLATES / name / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
