"""`scripts/refresh-workspace-images.sh`: the documented flags of old, from anywhere, with nothing but a shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "refresh-workspace-images.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose `wsr` writes down what it is called with, in a folder whose name has a blank."""
    made = tmp_path / "a checkout"
    (made / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, made / "scripts")
    wsr = made / ".venv" / "bin" / "wsr"
    wsr.parent.mkdir(parents=True)
    wsr.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 3\n")
    wsr.chmod(0o755)
    return made


def called(checkout: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    script = checkout / "scripts" / SCRIPT.name
    return subprocess.run(
        [script, *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout.parent,
        env={"PATH": "/usr/bin:/bin"},
    )


@pytest.mark.parametrize(
    ("flags", "passed_on"),
    [
        ((), ("-f", "runtime.yaml")),
        (("--runtime", "langgraph"), ("-f", "runtime.yaml", "--runtime", "langgraph")),
        (("--no-recreate",), ("-f", "runtime.yaml", "--no-recreate")),
        (("--force", "-f", "a document.yaml"), ("--force", "-f", "a document.yaml")),
        (("--file=other.yaml",), ("--file=other.yaml",)),
        (("-h",), ("--help",)),
    ],
)
def test_it_passes_on_the_old_flags_and_how_it_ended(
    checkout: Path, flags: tuple[str, ...], passed_on: tuple[str, ...]
) -> None:
    done = called(checkout, *flags)
    assert (done.returncode, done.stdout.splitlines()) == (3, ["refresh", *passed_on])


def test_without_wsr_it_says_what_to_install(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "wsr").unlink()
    done = called(checkout, "--runtime", "langgraph")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == (
        f"wsr is not installed: it is neither in {checkout}/.venv/bin nor on PATH.\n"
        f"Run `make install` in {checkout}, then this again.\n"
    )
