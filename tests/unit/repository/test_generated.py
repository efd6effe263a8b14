"""Generated files say what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def _generate(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "tools/generate.py", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def test_generated_files_are_current() -> None:
    assert _generate("--check") == (0, "")


def test_a_file_that_is_not_current_is_named(tmp_path: Path) -> None:
    assert _generate("--root", str(tmp_path)) == (0, "")
    (tmp_path / "docs/wsr.md").write_text("edited by hand")
    assert _generate("--check", "--root", str(tmp_path)) == (
        1,
        "docs/wsr.md is not what the code says; run: make generate\n",
    )
