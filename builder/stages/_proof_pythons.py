"""Compiles a package with every other Python on the machine that its metadata promise to run on."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from packaging.specifiers import SpecifierSet

from builder.problems import Complaint
from builder.stages._folder import writing

_NAME: Final = re.compile(r"python3\.(\d+)")
_DEADLINE_SECONDS: Final = 300.0
_RULE: Final = "DoesNotCompile"

HERE: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs the builder, which every proof begins with."""


def installed(claimed: str) -> dict[str, list[Path]]:
    """Find the other Pythons that `claimed` (PEP 440 specifiers) includes: by version, the places to try in order.

    Looked at are the folders of pyenv and uv, then PATH, where a name may be a shim that leads nowhere.
    """
    found: dict[str, list[Path]] = {}
    specifiers = SpecifierSet(claimed)
    for place in _places():
        name = _NAME.fullmatch(place.name)
        version = f"3.{name[1]}" if name else HERE
        if version != HERE and specifiers.contains(version):
            found.setdefault(version, []).append(place)
    return found


def _places() -> Iterator[Path]:
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    on_path = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders = [*sorted(pyenv.glob("3.*/bin")), *sorted(managed.glob("cpython-3.*/bin")), *on_path]
    for folder in folders:
        yield from sorted(place for place in folder.glob("python3.*") if os.access(place, os.X_OK))


class OtherPythons:
    """Runs of other Pythons over the same files, begun together; they work while the builder goes on."""

    def __init__(self, files: Path, claimed: str) -> None:
        self._files = files
        self._script = resources.files("builder.stages").joinpath("compile_script.py").read_text()
        self._candidates = installed(claimed)
        self._begun = {version: self._begin(places[0]) for version, places in self._candidates.items()}

    def ended(self) -> Iterator[tuple[str, list[Complaint]]]:
        """Wait for all; return by version what does not compile there. One that is no Python is left out."""
        for version, (first, *others) in self._candidates.items():
            complaints = self._told(version, self._begun[version] or self._begin(first))
            for place in others:
                if complaints is None:
                    complaints = self._told(version, self._begin(place))
            if complaints is not None:
                yield version, complaints

    def stop(self) -> None:
        """End what still runs."""
        for run in filter(None, self._begun.values()):
            if run.poll() is None:
                run.kill()
            run.wait()
            if run.stdout:
                run.stdout.close()

    def _begin(self, python: Path) -> subprocess.Popen[str] | None:
        command = [str(python), "-I", "-S", "-c", self._script, str(self._files)]
        try:
            return subprocess.Popen(  # noqa: S603 -- a Python of this machine, with our own script
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            return None

    def _told(self, version: str, run: subprocess.Popen[str] | None) -> list[Complaint] | None:
        if run is None:
            return None
        try:
            said, _ = run.communicate(timeout=_DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            run.kill()
            said, _ = run.communicate()
        who, _, complaints = said.partition("\n")
        if who != f"CPython {version}":
            return None
        if run.returncode:
            cause = f"It ended with {run.returncode} over these files."
            return [Complaint(f"Python {version}", 0, cause, _RULE)]
        return [
            Complaint(path, line, f"Python {version} cannot compile this file: {cause}.", _RULE)
            for path, line, cause in json.loads(complaints)
        ]


@contextmanager
def other_pythons(files: Mapping[str, bytes], claimed: str) -> Iterator[OtherPythons]:
    """Let every other Python that `claimed` includes compile these files, until the block ends.

    Raises:
        TryAgain: reason DiskFull.
    """
    with ExitStack() as stack:
        with writing(Path(tempfile.gettempdir())):
            handed = stack.enter_context(tempfile.NamedTemporaryFile(prefix="proof-"))
            pickle.dump(dict(files), handed, protocol=4)
            handed.flush()
        pythons = OtherPythons(Path(handed.name), claimed)
        stack.callback(pythons.stop)
        yield pythons
