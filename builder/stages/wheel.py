"""Builds wheel and sdist from a build tree with the pinned backend, without isolation and without the network."""

from __future__ import annotations

import concurrent.futures
import errno
import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import build

from builder.problems import Refused, TryAgain
from builder.stages._folder import writing

SOURCE_DATE_EPOCH: Final = "1580601600"
"""The time in every archive: hatchling's own default, so that `python -m build` by hand gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One built file."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Distribution:
        """Hash a file."""
        return cls(path, hashlib.sha256(path.read_bytes()).hexdigest())


def build_distributions(tree: Path, backend: str, into: Path) -> tuple[Path, Path]:
    """Build wheel and sdist of a tree into a folder and return their paths.

    The same tree gives the same bytes: archives hold one fixed time, modes of two kinds, and names in order.

    Raises:
        Refused: reason BackendMissing, the pinned backend is not installed beside the builder; reason
            BackendRefused, it does not build this tree.
        TryAgain: reason DiskFull.
    """
    missing = [" <- ".join(reversed(chain)) for chain in build.check_dependency(backend)]
    if missing:
        raise Refused(
            "BackendMissing",
            [
                f"{tree} is built with {backend}, which is not installed here ({'; '.join(missing)}). Install group builder."
            ],
        )
    builder = build.ProjectBuilder(tree, runner=_quiet)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wheel = pool.submit(_built, builder, "wheel", into)
        sdist = pool.submit(_built, builder, "sdist", into)
        return wheel.result(), sdist.result()


def content_sha256(wheel: Path, module: str) -> str:
    r"""Hash a wheel's package: SHA-256 over `<sha256 hex> <posix path>\n`, sorted by path, without `*.pyc`.

    Paths are the wheel's own, which begin with the import package; the runtime computes the same from its folder on
    disk.
    """
    with zipfile.ZipFile(wheel) as archive:
        lines = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.startswith(f"{module}/") and not name.endswith((".pyc", "/"))
        }
    return hashlib.sha256("".join(f"{lines[path]} {path}\n" for path in sorted(lines)).encode()).hexdigest()


def place(files: Sequence[Path], folder: Path) -> list[Distribution]:
    """Move built files to where they were asked for, each whole or not at all.

    Raises:
        Refused: reason NotWritable.
    """
    placed = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            partial = folder / f".{file.name}.partial"
            shutil.copyfile(file, partial)
            partial.chmod(0o644)
            placed.append(Distribution.of(partial.replace(folder / file.name)))
    return placed


def _built(builder: build.ProjectBuilder, kind: Literal["wheel", "sdist"], into: Path) -> Path:
    try:
        return Path(builder.build(kind, into))
    except build.BuildBackendException as error:
        said = getattr(error.exception, "output", None) or str(error.exception)
        if os.strerror(errno.ENOSPC) in said:
            raise TryAgain(
                "DiskFull", f"No space is left to write {into}. Free some and run again."
            ) from error
        raise Refused(
            "BackendRefused", [f"The build backend failed at the {kind}: {said.strip()[-1500:]}"]
        ) from error


def _quiet(
    cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
) -> None:
    """Run a hook of the backend; what it prints is kept for the error, and the environment has no say in its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HATCH_")}
    environment = {**kept, **(extra_environ or {}), "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}
    subprocess.run(  # noqa: S603 -- the command comes from `build` and names this interpreter
        cmd, cwd=cwd, env=environment, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
