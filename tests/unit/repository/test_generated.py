"""Generated files say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _check() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_generated_files_are_current() -> None:
    result = _check()
    assert (result.returncode, result.stderr) == (0, "")


def test_a_file_that_is_not_current_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import generate  # noqa: PLC0415 -- a script, found by path
    finally:
        sys.path.pop(0)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    (tmp_path / "docs/wsr.md").write_text("edited by hand")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
