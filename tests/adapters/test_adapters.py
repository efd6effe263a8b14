"""Each template's own tests, run on its real framework, in a copy that stands alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.parts.ground import REPOSITORY
from tests.parts.template import TEMPLATES, copied_out, environment

FRAMEWORKS = {
    "autogen": "autogen-agentchat",
    "claude-code": "claude-agent-sdk",
    "crewai": "crewai",
    "deepagents": "deepagents",
    "gemini-cli": "@google/gemini-cli",
    "hermes": "hermes-agent",
    "langgraph": "langgraph",
}
"""Of each template, what it takes to make it fail."""
SHARED = ("tests/conftest.py", ".dockerignore", "LICENSE")
"""What every template carries a copy of, since each stands alone."""
CORE = (
    "tool_is_used",
    "streams",
    "after_a_kill",
    "counts_as_long",
    "lets_go_of_the_model",
    "key_that_is_refused",
)
"""Of the promises that all inherit, those that need the framework most; every other one costs a start or seconds more."""
ON_LANGCHAIN = ("langgraph", "deepagents")


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
def test_a_template_works_on_its_framework(name: str, tmp_path: Path) -> None:
    assert passed(run_tests(name, tmp_path, "-k", " or ".join(CORE))) == len(CORE)


@pytest.mark.long
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_template_does_on_its_framework_all_that_it_promises(name: str, tmp_path: Path) -> None:
    assert passed(run_tests(name, tmp_path)) > len(CORE)


def passed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None
    return int(found.group(1))


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        pytest.param(name, framework, marks=[] if name == "langgraph" else [pytest.mark.long])
        for name, framework in FRAMEWORKS.items()
    ],
)
def test_without_its_framework_a_template_fails(name: str, framework: str, tmp_path: Path) -> None:
    done = run_tests(name, tmp_path, "--maxfail=1", without=framework)
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "langgraph" else [pytest.mark.long]) for name in FRAMEWORKS],
)
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


def test_the_templates_on_langchain_run_turns_alike() -> None:
    assert len({(TEMPLATES / name / "langchain_turns.py").read_text() for name in ON_LANGCHAIN}) == 1


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_template_is_whole(name: str) -> None:
    folder = TEMPLATES / name
    assert (folder / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
    assert "molecule-ai-workspace-runtime>=0.1.0" in (folder / "requirements.txt").read_text().splitlines()
    dockerfile = (folder / "Dockerfile").read_text()
    assert dockerfile.startswith("ARG BASE_IMAGE=python:3.11-slim\nFROM ${BASE_IMAGE}\n")
    assert "USER agent\n" in dockerfile
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["name"], config["runtime"]) == (name, name)
    workflow = (folder / ".github" / "workflows" / "publish-image.yml").read_text()
    first = (TEMPLATES / "langgraph" / ".github" / "workflows" / "publish-image.yml").read_text()
    assert workflow == first.replace("workspace-template-langgraph", f"workspace-template-{name}")
    assert (folder / "README.md").read_text().startswith(f"# workspace-template-{name}\n")
    assert (folder / "__init__.py").is_file()
