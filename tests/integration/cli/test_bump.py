"""`wsr bump`, as a person or a workflow types it."""

import json
import os
from pathlib import Path

import pytest

from tests.parts.typed import Ended, typed

DOCUMENT = (
    "apiVersion: runtime.molecule.ai/v1alpha1\nkind: WorkspaceRuntime\n"
    'metadata: {name: demo}\nspec:\n  version: "0.1.6"   # the one line\n'
)
PIN = "httpx\nmolecule-ai-workspace-runtime>=0.1.0  # moves\n"


def bump(*arguments: str, cwd: Path) -> Ended:
    return typed("bump", *arguments, cwd=cwd)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "runtime.yaml"
    file.write_text(DOCUMENT)
    return file


@pytest.mark.parametrize("version", ["0.1.7", "runtime-v0.1.7"])
def test_a_version_or_a_releases_tag_goes_into_the_document(document: Path, version: str) -> None:
    document.chmod(0o664)
    done = bump(document.name, version, cwd=document.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runtime.yaml:5: 0.1.6 is now 0.1.7.\n", "")
    assert document.read_text() == DOCUMENT.replace("0.1.6", "0.1.7")
    assert document.stat().st_mode & 0o777 == 0o664
    assert [file.name for file in document.parent.iterdir()] == ["runtime.yaml"]


def test_a_second_time_nothing_is_written(document: Path) -> None:
    before = document.stat()
    done = bump(document.name, "0.1.6", "-o", "json", cwd=document.parent)
    assert json.loads(done.stdout) == {
        "file": "runtime.yaml",
        "line": 5,
        "before": "0.1.6",
        "after": "0.1.6",
        "changed": False,
    }
    again = bump(document.name, "0.1.6", cwd=document.parent)
    assert again.stdout == "runtime.yaml:5: 0.1.6 already.\n"
    after = document.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_the_pin_of_a_template_is_moved(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(PIN)
    done = bump("requirements.txt", "0.1.7", cwd=tmp_path)
    assert done.stdout == "requirements.txt:2: 0.1.0 is now 0.1.7.\n"
    assert (tmp_path / "requirements.txt").read_text() == PIN.replace("0.1.0", "0.1.7")


def test_a_link_stays_a_link(document: Path) -> None:
    link = document.parent / "link.yaml"
    link.symlink_to(document.name)
    assert bump(link.name, "0.1.7", cwd=link.parent).returncode == 0
    assert link.is_symlink()
    assert '"0.1.7"' in document.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runtime.yaml", "0.1.x"], "'0.1.x' is not a PEP 440 version; write one like 0.1.6, 0.2.0rc1 or 0.1.6.post1.\nNothing was touched.\n"),
        (["runtime.yaml", "v0.1.7"], "'v0.1.7' is not normalised; write '0.1.7'.\nNothing was touched.\n"),
        (["runtime.yaml", "0.1.7-local"], "'0.1.7-local' is not normalised; write '0.1.7+local'.\nNothing was touched.\n"),
        (["runtime.yaml", "runtime-v"], "'' is not a PEP 440 version; write one like 0.1.6, 0.2.0rc1 or 0.1.6.post1.\nNothing was touched.\n"),
        (["", "0.1.7"], "FILE is empty: no file is named.\nName the document that holds the version; in a workflow, set the variable that names it.\n"),
        (["absent.yaml", "0.1.7"], "absent.yaml: there is no such file.\nName the document that holds the version.\n"),
        ([".", "0.1.7"], ".: cannot be read: Is a directory.\nMake it a readable file.\n"),
        (["latin.yaml", "0.1.7"], "latin.yaml: byte 2 is not UTF-8.\nStore it as UTF-8 text.\n"),
        (["runtime.yaml", "0.1.7", "--name", "other"], "runtime.yaml:1: holds no WorkspaceRuntime named other; it holds: demo.\nNothing was touched.\n"),
    ],
)  # fmt: skip
def test_a_refusal_is_wrong_use_and_touches_nothing(document: Path, arguments: list[str], words: str) -> None:
    (document.parent / "latin.yaml").write_bytes("# é".encode("latin-1"))
    refused = bump(*arguments, cwd=document.parent)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", words)
    assert document.read_text() == DOCUMENT


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    # A file whose name leaves no room for the one beside it: for root too, this cannot be written.
    document = tmp_path / ("n" * 250 + ".yaml")
    document.write_text(DOCUMENT)
    refused = bump(document.name, "0.1.7", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{os.path.realpath(document)} cannot be written: File name too long.\n"
        "Make the file and its folder writable, with space left.\n"
    )
    assert document.read_text() == DOCUMENT
