"""The workflow that every template carries: when it runs, what it may do, and that `latest` moves by hand only."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
NAMES = sorted(folder.name for folder in TEMPLATES.iterdir())


def text(name: str) -> str:
    return (TEMPLATES / name / ".github" / "workflows" / "publish-image.yml").read_text()


def workflow(name: str) -> dict[str, Any]:
    # The base loader takes `on` and `true` for the words that they are.
    loaded: dict[str, Any] = yaml.load(text(name), Loader=yaml.BaseLoader)  # noqa: S506 -- it makes nothing but strings
    return loaded


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = workflow(name)["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_when_a_version_is_published_when_the_template_changes_and_by_hand(name: str) -> None:
    on = workflow(name)["on"]
    assert set(on) == {"repository_dispatch", "push", "workflow_dispatch"}
    assert on["repository_dispatch"] == {"types": ["runtime-published"]}
    assert on["workflow_dispatch"]["inputs"]["latest"]["default"] == "false"


@pytest.mark.parametrize("name", NAMES)
def test_it_may_write_packages_and_nothing_else(name: str) -> None:
    assert workflow(name)["permissions"] == {}
    (job,) = workflow(name)["jobs"].values()
    assert job["permissions"] == {"contents": "read", "packages": "write"}
    assert [step["with"] for step in steps(name) if "uses" in step] == [{"persist-credentials": "false"}]
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}", steps(name)[0]["uses"])


@pytest.mark.parametrize("name", NAMES)
def test_latest_moves_by_hand_only(name: str) -> None:
    moving = [step for step in steps(name) if "latest" in step.get("run", "")]
    assert [step["if"] for step in moving] == ["github.event_name == 'workflow_dispatch' && inputs.latest"]
    assert moving == steps(name)[-1:]


@pytest.mark.parametrize("name", NAMES)
def test_no_input_of_a_run_becomes_shell_code(name: str) -> None:
    for step in steps(name):
        assert "${{" not in step.get("run", "")
        subprocess.run(["bash", "-n", "-c", step.get("run", "")], check=True)


def test_all_templates_have_the_same_one_but_for_the_image_s_name() -> None:
    assert len({text(name).replace(f"workspace-template-{name}", "") for name in NAMES}) == 1
