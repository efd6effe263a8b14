"""`wsr verify`, as a person or a CI types it."""

import json
from pathlib import Path

import pytest

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.bench.stock import runtime_requirements, stocked_index
from tests.integration.verify.mini_runtime import mini_wheel
from tests.parts.ground import REPOSITORY
from tests.parts.servers import free_port
from tests.parts.typed import Ended, typed


def wsr(*arguments: str) -> Ended:
    return typed("verify", *arguments, cwd=Path("/"))


def test_the_runtime_of_this_repository_passes_whole(tmp_path: Path) -> None:
    for version in ("0.1.0", "0.1.1"):
        package(
            PackageRun(
                source=REPOSITORY / "workspace",
                version=version,
                out=tmp_path / "tree" / version,
                dist=tmp_path / version,
            )
        )
    [before], [wheel] = ((tmp_path / version).glob("*.whl") for version in ("0.1.0", "0.1.1"))
    with stocked_index(tmp_path / "index", address="127.0.0.1", requirements=runtime_requirements()) as index:
        before.rename(tmp_path / "index" / "packages" / before.name)
        done = wsr(str(wheel), "--index-url", index.simple_url, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)
    assert (facts["findings"], facts["version"], facts["previous"]) == ([], "0.1.1", "0.1.0")
    assert done.stderr.splitlines() == [
        "Comparing public names with those of 0.1.0.",
        "Installing into a clean environment.",
        "Booting it and holding two turns.",
    ]


@pytest.mark.parametrize(
    ("form", "start"),
    [("text", "molecule_runtime/more.py:1: The import of 'own' still"), ("json", "{"), ("sarif", "{")],
)
def test_wsr_tells_findings_on_stdout_in_each_form_and_ends_with_1(
    tmp_path: Path, form: str, start: str
) -> None:
    done = wsr(str(mini_wheel(tmp_path, code="import own\n")), "--format", form)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(start)
    if form == "sarif":
        [result] = json.loads(done.stdout)["runs"][0]["results"]
        assert result["ruleId"] == "UnresolvedImport"


def test_wsr_says_that_a_wheel_is_proven(tmp_path: Path) -> None:
    wheel = mini_wheel(tmp_path)
    done = wsr(str(wheel), "--static")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{wheel.name}: no errors, no notes.\n"


def test_wsr_tells_wrong_use_from_a_wrong_wheel(tmp_path: Path) -> None:
    wheel, before = str(mini_wheel(tmp_path / "new")), str(mini_wheel(tmp_path / "old", "0.9"))
    refused = wsr(wheel, "--static", "--previous", before, "--removed", "molecule_runtime.x")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "Comparing public names with those of 0.9.\n"
        "--removed molecule_runtime.x: nothing of this name was public in 0.9 and is gone. Leave it out, or correct it.\n"
    )
    assert wsr(f"{wheel}.absent").returncode == 2
    assert wsr(wheel, "--format", "xml").returncode == 2


def test_wsr_says_when_the_index_is_down(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/simple/"
    done = wsr(str(mini_wheel(tmp_path)), "--index-url", url)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{url}molecule-ai-workspace-runtime/ cannot be reached: ")


def test_names_that_are_removed_can_stand_in_one_word_and_an_empty_one_names_none(tmp_path: Path) -> None:
    wheel, before = str(mini_wheel(tmp_path / "new")), str(mini_wheel(tmp_path / "old", "0.9"))
    none = wsr(wheel, "--static", "--previous", before, "--removed", "")
    assert (none.returncode, none.stderr) == (0, "Comparing public names with those of 0.9.\n")
    two = wsr(wheel, "--static", "--previous", before, "--removed", "molecule_runtime.x molecule_runtime.y")
    assert (two.returncode, two.stdout) == (2, "")
    assert [line.partition(": ")[0] for line in two.stderr.splitlines()[1:]] == [
        "--removed molecule_runtime.x",
        "--removed molecule_runtime.y",
    ]


@pytest.mark.parametrize("both", [True, False])
def test_it_is_either_a_wheel_or_a_document(tmp_path: Path, both: bool) -> None:  # noqa: FBT001 -- read from the table above
    done = wsr(*([str(mini_wheel(tmp_path)), "-f", "runtime.yaml"] if both else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Error: Give one of both: a WHEEL, or a document with -f FILE.\n")
