"""`scripts/build_runtime_package.py`: the documented flags of old, from anywhere, with any Python."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "build_runtime_package.py"
# Not the one with our packages: what a person's shell finds first.
PLAIN_PYTHON = os.path.realpath(sys.executable)


def run(
    *arguments: str, cwd: Path, script: Path = SCRIPT, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [PLAIN_PYTHON, "-I", str(script), *arguments]
    environment = {"PATH": path if path is not None else os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_the_documented_command_builds_this_checkouts_workspace_from_another_folder(tmp_path: Path) -> None:
    done = run("--version", "0.1.6", "--out", "build tree", cwd=tmp_path, path="")
    assert done.returncode == 0, done.stderr
    tree = tmp_path / "build tree"
    assert tomllib.loads((tree / "pyproject.toml").read_text())["project"]["version"] == "0.1.6"
    assert "molecule_runtime" in (tree / "molecule_runtime" / "main.py").read_text()
    assert done.stdout.splitlines()[-1] == "Next: python -m build --outdir dist 'build tree'"


def test_the_script_can_be_called_by_its_name(tmp_path: Path) -> None:
    help_ = subprocess.run([str(SCRIPT), "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "--version" in help_.stdout


def test_another_source_is_taken_and_a_refusal_passed_on(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.py").write_text("import config\n")
    done = run("--version", "0.1.6", "--out", "tree", "--source", "source", cwd=tmp_path)
    assert done.returncode == 1
    assert "main.py" in done.stderr
    bad = run("--version", "0.1.x", "--out", "tree", cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("'0.1.x' is not a version (PEP 440).")


@pytest.mark.parametrize("arguments", [["--version", "0.1.6"], ["--out", "tree"]])
def test_both_flags_are_needed(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the following arguments are required" in done.stderr


def test_without_wsr_it_says_what_to_install(tmp_path: Path) -> None:
    """A checkout that nothing was installed in, and a Python that has no wsr beside it."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    script = Path(shutil.copy(SCRIPT, checkout / "scripts"))
    done = run("--version", "0.1.6", "--out", "tree", cwd=tmp_path, script=script, path="")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == (
        f"wsr is not installed: it is not in {checkout}/.venv/bin, not beside {PLAIN_PYTHON} and not on PATH.\n"
        f"Run `make install` in {checkout}, then this again.\n"
    )
