"""A template is added to a document's list, and not one byte elsewhere."""

import pytest

from controller.api.load import InvalidDocument, load
from controller.api.registration import register_template

HEAD = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata: {name: fleet}
spec:
  version: "0.1.6"
  source: {directory: workspace}
  package: {index: {uploadURL: "https://p.example/", simpleURL: "https://p.example/simple/"}}
  registry: {mode: Engine, artifacts: records}
  targets:
    dockerHosts: [{name: local, endpoint: "unix:///var/run/docker.sock", containerPrefix: ws-}]
"""
LAST = "    - name: langgraph   # the first\n      image: workspace-template-langgraph\n      build: {directory: templates/langgraph} # here\n"
TAIL = "\n  # how far at once\n  rollout: {maxUnavailable: 25%}\n"


def registered(text: str, name: str = "own") -> str:
    return register_template(text, name, directory=f"templates/{name}", file="runtime.yaml").text


@pytest.mark.parametrize("tail", [TAIL, "", "\n# the end"])
def test_it_stands_behind_the_last_one_and_all_else_stays(tail: str) -> None:
    before = f"{HEAD}  templates:\n{LAST}"
    added = "    - name: own\n      image: workspace-template-own\n      build:\n        directory: templates/own\n"
    assert registered(before + tail) == before + added + tail


def test_a_list_that_is_not_indented_stays_so() -> None:
    last = LAST.replace("\n    ", "\n").removeprefix("    ")
    text = registered(f"{HEAD}  templates:\n  {last.replace(chr(10), chr(10) + '  ').rstrip(' ')}")
    assert "\n  - name: own\n    image: workspace-template-own\n" in text
    assert [each.name for each in load(text, file="f").spec.templates] == ["langgraph", "own"]


def test_a_file_without_a_newline_at_its_end_gets_one_before_it() -> None:
    assert registered(f"{HEAD}  templates:\n{LAST}".rstrip("\n")).endswith("directory: templates/own\n")


def test_its_base_is_that_of_the_last_one_and_no_other_argument() -> None:
    last = LAST.replace("langgraph}", "langgraph, args: {BASE_IMAGE: r.example/python, OTHER: a}}")
    found = load(registered(f"{HEAD}  templates:\n{last}"), file="f").spec.templates[-1]
    assert found.build.args == {"BASE_IMAGE": "r.example/python"}


def test_where_the_last_one_is_built_from_git_it_is_too() -> None:
    git = "{url: https://github.com/Molecule-AI/template-langgraph, ref: main, credentialsSecretName: git}"
    last = LAST.replace("{directory: templates/langgraph}", f"{{git: {git}}}").replace(
        "image: ", "image: ghcr.io/molecule-ai/"
    )
    remote = HEAD.replace("mode: Engine, artifacts: records", "artifacts: ghcr.io/molecule-ai/records")
    found = load(registered(f"{remote}  templates:\n{last}{TAIL}"), file="f").spec.templates[-1]
    assert found.image == "ghcr.io/molecule-ai/workspace-template-own"
    assert found.build.git is not None
    assert found.build.git.url == "https://github.com/Molecule-AI/template-own"
    assert (found.build.git.ref, found.build.git.credentials_secret_name) == ("main", "git")


@pytest.mark.parametrize(
    ("templates", "name", "told"),
    [
        (f"\n{LAST}", "langgraph", "runtime.yaml:12: spec.templates: has langgraph already"),
        (
            " [{name: a, image: a, build: {directory: a}}]\n",
            "own",
            "runtime.yaml:11: spec.templates: is written in one line; write each template on lines of its own",
        ),
        (f"\n{LAST}      tags: 7\n", "own", "runtime.yaml:15: spec.templates[0].tags: "),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(templates: str, name: str, told: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        registered(f"{HEAD}  templates:{templates}", name)
    assert str(caught.value).startswith(told)
