"""`wsr build`, as a person types it."""

import json
from pathlib import Path

import pytest

from tests.parts.typed import Ended, typed


def wsr(*arguments: str) -> Ended:
    return typed("build", *arguments, cwd=Path("/"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "a source"
    folder.mkdir()
    (folder / "main.py").write_text("import config\n\ndef main_sync(): ...\n")
    (folder / "config.py").write_text("")
    return folder


def test_the_build_tree_is_made_and_the_next_step_said(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "a tree"
    done = wsr("--version", "0.1.0-local", "--out", str(out), "--source", str(source))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(f"Version 0.1.0+local is in {out} (source tree ")
    assert second == f"Next: python -m build --outdir dist '{out}'"
    assert (
        (out / "molecule_runtime" / "main.py")
        .read_text()
        .startswith("import molecule_runtime.config as config\n")
    )


def test_facts_are_printed_as_json_when_asked(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    done = wsr("--version", "1.2", "--out", str(out), "--source", str(source), "-o", "json")
    assert json.loads(done.stdout)["version"] == "1.2"


@pytest.mark.parametrize(
    ("version", "folder", "code", "message"),
    [
        ("0.1.x", "a source", 2, "'0.1.x' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local."),
        ("0.1.0", "nope", 1, "{tmp}/nope: there is no such folder. Name the folder that holds the source."),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("source")
def test_a_refusal_is_one_clear_message(
    tmp_path: Path, version: str, folder: str, code: int, message: str
) -> None:
    done = wsr("--version", version, "--out", str(tmp_path / "tree"), "--source", str(tmp_path / folder))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message.format(tmp=tmp_path) + "\n")
    assert not (tmp_path / "tree").exists()
