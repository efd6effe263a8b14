"""A package is proven by every Python on the machine that its metadata promise, and none is taken for one that is not."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from builder.contract import OLDEST_PYTHON, REQUIRES_PYTHON, Outcome, VerifyRun
from builder.problems import Refused
from builder.stages import prove
from builder.stages._proof_pythons import HERE, installed, other_pythons
from builder.verbs.verify import verify
from tests.parts.small_wheel import alter, make_wheel

MAIN = {"__init__.py": b"", "main.py": b"def main_sync(): ...\n"}


def told(files: dict[str, bytes]) -> dict[str, list[str]]:
    with other_pythons(files, REQUIRES_PYTHON) as pythons:
        return {version: list(map(str, complaints)) for version, complaints in pythons.ended()}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return folder


def python(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_oldest_python_that_is_promised_and_a_newer_one_prove_here(tmp_path: Path) -> None:
    proven = prove.prove_package(MAIN, written(tmp_path / "source", MAIN), "molecule_runtime")
    assert proven[0] == OLDEST_PYTHON
    assert proven[1:], (
        f"no Python newer than {OLDEST_PYTHON} is on this machine (PATH, pyenv, uv); install one"
    )
    assert set(proven) == {HERE, *installed(REQUIRES_PYTHON)}


def test_every_other_python_really_compiles_each_file() -> None:
    complaints = told({"good.py": b"x = 1\n", "bad.py": b"x = 1\ny = = 1\n", "null.py": b"\0"})
    assert complaints.keys() - {HERE}
    for version, said in complaints.items():
        assert said[0] == f"bad.py:2: Python {version} cannot compile this file: invalid syntax."
        assert said[1].startswith(f"null.py:1: Python {version} cannot compile this file: ")


def test_a_file_that_one_of_them_refuses_is_refused_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python(tmp_path / "bin", "python3.39", """printf 'CPython 3.39\\n[["main.py", 7, "no such thing"]]'""")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(Refused) as caught:
        prove.prove_package(MAIN, written(tmp_path / "source", MAIN), "molecule_runtime")
    assert caught.value.complaints == ("main.py:7: Python 3.39 cannot compile this file: no such thing.",)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 127", None),
        ("echo pyenv: python3.39: command not found", None),
        ("printf 'PyPy 3.39\\n[]'", None),
        ("printf 'CPython 3.38\\n[]'", None),
        ("printf 'CPython 3.39\\n[]'", []),
        ("echo CPython 3.39; kill -9 $$", ["Python 3.39: It ended with -9 over these files."]),
    ],
)
def test_what_is_no_such_python_is_left_out_and_one_that_dies_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: list[str] | None
) -> None:
    python(tmp_path / "bin", "python3.39", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert told(MAIN).get("3.39") == said


def test_a_shim_that_leads_nowhere_gives_way_to_the_next_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python(tmp_path / "shims", "python3.39", "exit 127")
    python(tmp_path / "bin", "python3.39", "printf 'CPython 3.39\\n[]'")
    monkeypatch.setenv("PATH", f"{tmp_path}/shims:{tmp_path}/bin")
    assert told(MAIN)["3.39"] == []


def test_pythons_of_pyenv_and_uv_are_found_and_those_that_are_not_promised_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in (
        ("pyenv/versions/3.37.1/bin", "python3.37"),
        ("pyenv/versions/3.9.18/bin", "python3.9"),
        ("uv/cpython-3.38.0-linux-x86_64-gnu/bin", "python3.38"),
        ("path", "python3.39"),
        ("path", "python3.39-config"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        python(tmp_path / folder, name, "exit 1")
    (tmp_path / "path" / "python3.36").write_text("not executable")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    found = {
        version: [str(place.parent.relative_to(tmp_path)) for place in places]
        for version, places in installed(REQUIRES_PYTHON).items()
    }
    assert found == {
        "3.37": ["pyenv/versions/3.37.1/bin"],
        "3.38": ["uv/cpython-3.38.0-linux-x86_64-gnu/bin"],
        "3.39": ["path"],
    }


def test_a_package_is_not_built_where_the_oldest_promised_python_cannot_prove_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove, "OLDEST_PYTHON", "3.95")
    monkeypatch.setattr(prove, "REQUIRES_PYTHON", ">=3.95")
    with pytest.raises(Refused) as caught:
        prove.prove_package(MAIN, written(tmp_path / "source", MAIN), "molecule_runtime")
    assert (caught.value.reason, caught.value.message) == (
        "PythonMissing",
        "The metadata promise Python >=3.95, and there is no Python 3.95 here to prove it with. Install one where PATH, pyenv or uv has it.",
    )


def findings(wheel: Path) -> list[str]:
    told = wheel.parent / "findings.json"
    report = verify(VerifyRun(wheel=wheel, static=True, findings=told, format="json"))
    assert report.outcome is Outcome.REFUSED
    return [
        f"{each['path']}:{each['line']}: {each['message']} [{each['rule']}]"
        for each in json.loads(told.read_text())["findings"]
    ]


def test_a_wheel_from_elsewhere_is_held_to_the_pythons_that_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("3.38", "3.39"):
        refusing = (
            f"""printf 'CPython {version}\\n[["main.py", 7, "no such thing"], ["a.py", 1, "nor this"]]'"""
        )
        python(tmp_path / "bin", f"python{version}", refusing)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    wheel = make_wheel(tmp_path, "1.0", files={"a.py": "x = = 1\n"}).path
    here = "molecule_runtime/a.py:1: Python cannot compile this file: invalid syntax. [DoesNotCompile]"
    there = "molecule_runtime/main.py:7: Python {} cannot compile this file: no such thing. [DoesNotCompile]"
    assert findings(wheel) == [here, there.format("3.38"), there.format("3.39")]
    told = zipfile.ZipFile(wheel).read("molecule_ai_workspace_runtime-1.0.dist-info/METADATA")
    alter(wheel, {"*/METADATA": told + b"Requires-Python: >=3.11, <3.39\n"})
    assert findings(wheel) == [here, there.format("3.38")]


def test_the_static_part_of_verify_takes_less_than_a_processors_second_with_all_pythons(
    tmp_path: Path,
) -> None:
    modules = {f"m{number}.py": "import os\n" + "x = [os.sep]\n" * 70 for number in range(60)}
    wheel = make_wheel(tmp_path, "1.0", files=modules).path
    before = os.times()
    report = verify(VerifyRun(wheel=wheel, static=True))
    after = os.times()
    assert report.outcome is Outcome.DONE
    # Of processors, its own and its children's: a clock would tell how busy the machine is.
    assert sum(after[:4]) - sum(before[:4]) < 1
