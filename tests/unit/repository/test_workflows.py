"""The workflows are what they claim: pinned, with few rights, each step one call of a verb that exists."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from controller.cli.main import wsr

FOLDER = Path(__file__).resolve().parents[3] / ".github" / "workflows"
NAMES = ["auto-tag-runtime", "publish-runtime"]
PIN = re.compile(r"(?P<action>[\w.-]+/[\w./-]+)@(?P<digest>[0-9a-f]{40})")
RIGHTS = {
    ("auto-tag-runtime", "tag"): {"contents": "read", "pull-requests": "read"},
    ("publish-runtime", "prove"): {"contents": "read", "packages": "write"},
    ("publish-runtime", "publish"): {"contents": "read", "packages": "write", "id-token": "write"},
    ("publish-runtime", "hand-over"): {"contents": "read"},
}
SAMPLES = {
    "PACKAGE_INDEX": "https://packages.example/simple/",
    "DOCUMENT": "runtime.yaml",
    "VERSION": "runtime-v0.1.7",
    "REMOVED": "",
}


def workflow(name: str) -> dict[str, Any]:
    # The base loader takes `on` and `true` for the words that they are.
    loaded: dict[str, Any] = yaml.load((FOLDER / f"{name}.yml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506 -- it makes nothing but strings
    return loaded


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in NAMES:
        for job, content in workflow(name)["jobs"].items():
            yield name, job, content


def steps() -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each step, with the whole environment that it runs in."""
    for name, _, job in jobs():
        for step in job["steps"]:
            yield step, {**workflow(name).get("env", {}), **job.get("env", {}), **step.get("env", {})}


def calls() -> list[tuple[list[str], Mapping[str, Any]]]:
    return [(shlex.split(step["run"]), env) for step, env in steps() if "run" in step]


def test_these_are_all_the_workflows() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"{name}.yml" for name in NAMES]
    assert [workflow(name)["name"] for name in NAMES] == NAMES


def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it() -> None:
    pins: dict[str, set[str]] = {}
    for name in NAMES:
        lines = re.findall(r"uses: (.*)", (FOLDER / f"{name}.yml").read_text())
        for line in lines:
            used, _, comment = line.partition(" # ")
            pin = PIN.fullmatch(used)
            assert pin is not None, line
            assert re.fullmatch(r"v\d+\.\d+\.\d+", comment), line
            pins.setdefault(pin["action"], set()).add(line)
    assert {action for action, lines in pins.items() if len(lines) > 1} == set()


def test_no_job_has_more_rights_than_it_needs() -> None:
    assert [workflow(name)["permissions"] for name in NAMES] == [{}, {}]
    assert {(name, job): content["permissions"] for name, job, content in jobs()} == RIGHTS


def test_no_checkout_leaves_credentials_behind() -> None:
    checkouts = [step for step, _ in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 5
    assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"] * 5


def test_two_runs_never_work_on_one_thing_at_once_and_none_lasts_for_ever() -> None:
    """Who waits in a group is dropped when another one comes: what a dropped run was for is done by the one that came."""
    tagging, publishing = (workflow(name) for name in NAMES)
    assert tagging["concurrency"] == {"group": "auto-tag-runtime", "cancel-in-progress": "false"}
    version = publishing["env"]["VERSION"]
    assert publishing["concurrency"] == {"group": f"publish-runtime {version}", "cancel-in-progress": "false"}
    handing_over = {"group": "publish-runtime hand-over", "cancel-in-progress": "false"}
    apart = {job: content["concurrency"] for _, job, content in jobs() if "concurrency" in content}
    assert apart == {"hand-over": handing_over}
    assert all(int(content["timeout-minutes"]) <= 120 for _, _, content in jobs())


def test_a_merge_that_counts_tags_and_the_end_of_a_publication_looks_again() -> None:
    assert workflow("auto-tag-runtime")["on"] == {
        "push": {"branches": ["main"], "paths": ["workspace/**", "builder/**"]},
        "workflow_run": {"workflows": ["publish-runtime"], "types": ["completed"]},
    }


def test_a_tag_publishes_and_so_does_a_person_with_a_version() -> None:
    on = workflow("publish-runtime")["on"]
    assert on["push"] == {"tags": ["runtime-v*"]}
    version = on["workflow_dispatch"]["inputs"]["version"]
    assert (version["required"], version["type"]) == ("true", "string")
    assert "required" not in on["workflow_dispatch"]["inputs"]["removed"]
    assert workflow("publish-runtime")["env"]["VERSION"] == "${{ inputs.version || github.ref_name }}"


def test_either_this_publishes_or_an_operator_never_both() -> None:
    conditions = {job: content["if"] for name, job, content in jobs() if name == "publish-runtime"}
    assert conditions == {
        "prove": "vars.GITOPS_REPOSITORY == ''",
        "publish": "vars.GITOPS_REPOSITORY == ''",
        "hand-over": "vars.GITOPS_REPOSITORY != ''",
    }


@pytest.mark.parametrize(
    ("words", "environment"), calls(), ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_each_step_is_one_call_of_a_verb_and_options_that_exist(
    words: list[str], environment: Mapping[str, Any]
) -> None:
    assert words[:3] == ["uv", "run", "wsr"]
    for word in words:
        # No second command, no pipe, no substitution: what stands after $ is one variable, set for this step.
        assert re.fullmatch(r"\$[A-Z_]+|[\w./=-]+", word), word
        assert not word.startswith("$") or word[1:] in environment
    arguments = [SAMPLES[word[1:]] if word.startswith("$") else word for word in words[3:]]
    command: click.Command = wsr
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, arguments)


def test_commands_hold_no_secret_and_no_text_from_outside() -> None:
    runs = [step["run"] for step, _ in steps() if "run" in step]
    assert len(runs) == 7
    assert [run for run in runs if "${{" in run or "\n" in run or "secrets" in run] == []


def test_nothing_is_published_around_the_gate() -> None:
    assert [words[3:] for words, _ in calls()] == [
        ["release", "tag", "--index", "$PACKAGE_INDEX"],
        ["bump", "$DOCUMENT", "$VERSION"],
        ["run", "-f", "$DOCUMENT", "--once", "--until", "ImagesBuilt"],
        ["verify", "-f", "$DOCUMENT", "--index-url", "$PACKAGE_INDEX", "--removed", "$REMOVED"],
        ["bump", "$DOCUMENT", "$VERSION"],
        ["run", "-f", "$DOCUMENT", "--once", "--until", "Published"],
        ["bump", "$DOCUMENT", "$VERSION", "--push"],
    ]
    actions = {step["uses"].partition("@")[0] for step, _ in steps() if "uses" in step}
    assert actions == {"actions/checkout", "astral-sh/setup-uv", "actions/create-github-app-token"}


def test_what_could_publish_is_held_by_one_job_alone_and_only_after_all_is_proven() -> None:
    holders = {
        (name, job)
        for name, job, content in jobs()
        if "id-token" in content["permissions"] or "environment" in content or "PYPI_TOKEN" in str(content)
    }
    assert holders == {("publish-runtime", "publish")}
    publish = workflow("publish-runtime")["jobs"]["publish"]
    assert (publish["environment"], publish["needs"]) == ("pypi-publish", "prove")
    # A condition of its own must not let it run after a proof that failed.
    assert re.search(r"always|failure|cancelled", publish["if"]) is None


def test_the_variables_and_secrets_that_are_wanted_are_documented() -> None:
    text = "".join((FOLDER / f"{name}.yml").read_text() for name in NAMES)
    documented = (FOLDER.parents[1] / "docs" / "releasing.md").read_text()
    wanted = set(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", text))
    assert wanted
    assert {name for name in wanted if f"`{name}`" not in documented} == set()
