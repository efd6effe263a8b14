"""Where the parts keep what outlives a run, and how they get the Debian programs that they are made of."""

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_INSTALL = REPOSITORY / "tools" / "setup" / "debian-packages.sh"
_UV = REPOSITORY / "tools" / "setup" / "uv.sh"


class PartError(Exception):
    """A real part could not be had; the text says which, why, and what to do."""


def cache_dir(*names: str) -> Path:
    """A folder outside the repository that outlives a run, made on demand.

    Honours `XDG_CACHE_HOME`; without it, `~/.cache`.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base.joinpath("workspace-runtime", *names)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def need(command: str, *, package: str) -> str:
    """The path of a Debian program; its package is installed when it is absent.

    Raises:
        PartError: it is absent and could not be installed.
    """
    found = _find(command)
    if found is None:
        done = subprocess.run([_INSTALL, package], capture_output=True, text=True, check=False)
        found = _find(command)
        if done.returncode or found is None:
            raise PartError(
                f"{command} is missing and installing {package} failed: {done.stderr.strip()[-800:]}"
            )
    return found


def uv() -> str:
    """The path of uv; it is installed when it is absent."""
    return subprocess.run([_UV], capture_output=True, text=True, check=True).stdout.strip()


def _find(command: str) -> str | None:
    # Debian's own programs first: a newer docker CLI ahead of it on PATH may lack the BuildKit plugin, and sbin is
    # often not on a user's PATH.
    return shutil.which(command, path=f"/usr/sbin:/usr/bin:{os.environ.get('PATH', '')}")
