"""`wsr adapter new`, as a person types it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from controller.api.load import load
from tests.parts.ground import REPOSITORY
from tests.parts.typed import Ended, typed

SAMPLES = REPOSITORY / "crds" / "samples"


def new(*arguments: str, cwd: Path) -> Ended:
    return typed("adapter", "new", *arguments, cwd=cwd)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return Path(shutil.copy(SAMPLES / "standalone.yaml", tmp_path / "runtime.yaml"))


def names(document: Path) -> list[str]:
    return [each.name for each in load(document.read_text(), file="f").spec.templates]


@pytest.mark.parametrize("like", ["langgraph", "gemini-cli"])
def test_it_makes_every_file_of_another_template_under_the_new_name(tmp_path: Path, like: str) -> None:
    done = new("own", "--like", like, "-o", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["files"]
    left_out = ("__pycache__", "node_modules", "_cache")
    source = REPOSITORY / "templates" / like
    ours = [file.relative_to(source) for file in source.rglob("*") if file.is_file()]
    assert made == sorted(str(file) for file in ours if not any(word in str(file) for word in left_out))
    folder = tmp_path / "own"
    assert (folder / "Dockerfile").read_bytes() == (source / "Dockerfile").read_bytes()
    assert f"name = {'own'!r}".replace("'", '"') in (folder / "adapter.py").read_text()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["name"], config["runtime"]) == ("own", "own")
    workflow = (folder / ".github" / "workflows" / "publish-image.yml").read_text()
    assert "/workspace-template-own\n" in workflow
    assert not any(
        f"workspace-template-{like}" in file.read_text() for file in folder.rglob("*") if file.is_file()
    )


def test_it_is_added_to_the_document_with_its_folder_as_the_document_sees_it(document: Path) -> None:
    before, known = document.read_text(), names(document)
    folder = document.parent / "elsewhere"
    folder.mkdir()
    done = new("own", "--into", "own", "--add-to", "../runtime.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "Made template own like langgraph.",
        "It is in the list of ../runtime.yaml.",
        "Next: write adapter.py for your framework, then wsr adapter check own -f ../runtime.yaml",
    ]
    assert names(document) == [*known, "own"]
    assert load(document.read_text(), file="f").spec.templates[-1].build.directory == "elsewhere/own"
    lines = document.read_text().splitlines()
    at = lines.index("    - name: own")
    assert [*lines[:at], *lines[at + 4 :]] == before.splitlines()


def test_in_the_fleets_own_document_it_is_built_from_git_as_the_others(tmp_path: Path) -> None:
    document = Path(shutil.copy(SAMPLES / "molecule.yaml", tmp_path))
    assert new("own", "--add-to", "molecule.yaml", cwd=tmp_path).returncode == 0
    template = load(document.read_text(), file="f").spec.templates[-1]
    assert template.image == "ghcr.io/molecule-ai/workspace-template-own"
    assert template.build.git is not None
    assert template.build.git.url == "https://github.com/Molecule-AI/molecule-ai-workspace-template-own"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Own",), "NAME: 'Own' must consist of lower-case letters"),
        (("own", "--like", "none"), "--like: there is no template 'none'.\nName one of: autogen, "),
        (("own", "--into", "."), ". is there already.\nName another folder with --into."),
        (("own", "--add-to", "absent.yaml"), "absent.yaml: there is no such file.\nNothing was touched."),
        (("echo", "--add-to", "runtime.yaml"), "runtime.yaml:24: spec.templates: has echo already."),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_made(
    document: Path, arguments: tuple[str, ...], told: str
) -> None:
    before = document.read_text()
    done = new(*arguments, cwd=document.parent)
    assert done.returncode == 2
    assert told in done.stderr
    assert (document.read_text(), [file.name for file in document.parent.iterdir()]) == (
        before,
        ["runtime.yaml"],
    )
