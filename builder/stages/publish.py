"""Makes an index serve exactly the given files: asks first, uploads what is missing, and waits until the bytes are seen.

Uploads cannot be taken back, and an index shows a file later than it accepts it. So what the index serves decides, before
and after, never what an upload answered.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from builder import index as simple
from builder.contract import WAITING
from builder.problems import Refused, TryAgain

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 15.0
_PAUSE_GROWTH: Final = 1.6


class State(enum.StrEnum):
    """How a file came to be served."""

    UPLOADED = "Uploaded"
    ALREADY_THERE = "AlreadyThere"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file to publish."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, by which an index knows it."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one version of one project, the wheel first."""

    project: str
    version: str
    files: tuple[ReleaseFile, ...]

    def only(self, file: ReleaseFile) -> Release:
        """Return the release with nothing but one of its files."""
        return replace(self, files=(file,))


def read_release(given: Sequence[Path]) -> Release:
    """Read what is to be published: files, or folders with one wheel and at most one sdist each.

    Raises:
        Refused: reason BadDistribution, files are missing, too many, or not of one project and version; reason
            LocalVersion, which no index takes.
    """
    paths = sorted(
        (path for place in given for path in _expanded(place)), key=lambda path: path.suffix != ".whl"
    )
    if not paths:
        raise Refused(
            "BadDistribution", ["There is nothing to publish. Name a wheel, or the folder that holds it."]
        )
    releases = {path: _identity(path) for path in paths}
    if len(set(releases.values())) > 1:
        found = ", ".join(f"{path.name} ({name} {version})" for path, (name, version) in releases.items())
        raise Refused(
            "BadDistribution", [f"These are not one release: {found}. Publish one version at a time."]
        )
    project, version = releases[paths[0]]
    if version.local is not None:
        raise Refused(
            "LocalVersion",
            [
                f"{paths[0].name}: {version} is a local version, which no index takes. Build it as {version.public}."
            ],
        )
    files = (ReleaseFile(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
    return Release(project, str(version), tuple(files))


def _expanded(place: Path) -> list[Path]:
    if not place.exists():
        raise Refused(
            "BadDistribution", [f"{place} does not exist. Name a wheel, or the folder that holds it."]
        )
    if not place.is_dir():
        return [place]
    paths = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    kinds = [path.suffix == ".whl" for path in paths if path.name.endswith((".whl", ".tar.gz"))]
    if len(kinds) != len(paths) or kinds.count(True) != 1 or kinds.count(False) > 1:
        found = ", ".join(path.name for path in paths) or "nothing"
        raise Refused("BadDistribution", [f"{place} must hold one wheel and its sdist, and holds {found}."])
    return paths


def _identity(path: Path) -> tuple[str, Version]:
    try:
        if path.suffix == ".whl":
            name, version, _, _ = parse_wheel_filename(path.name)
            return name, version
        return parse_sdist_filename(path.name)
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise Refused("BadDistribution", [f"{path} is neither a wheel nor an sdist: {error}."]) from error


async def already_served(index: simple.Index, release: Release) -> set[str]:
    """Return the names of the release's files that the index serves already, with these bytes.

    Raises:
        Refused: reason OtherBytes; the index serves a file of this name with another sha256.
    """
    shown = {file.filename: file for file in await index.files(release.project)}
    there = {
        file.name: await _digest(index, shown[file.name]) for file in release.files if file.name in shown
    }
    _refuse_others(release, there)
    return set(there)


async def _digest(index: simple.Index, shown: simple.IndexFile) -> str:
    return shown.sha256 or hashlib.sha256(await index.fetch(shown)).hexdigest()


def _refuse_others(release: Release, there: Mapping[str, str]) -> None:
    others = [
        f"The index serves {file.name} with sha256 {there[file.name]}, and ours has {file.sha256}. "
        "A published version never changes: choose a new version."
        for file in release.files
        if there.get(file.name) not in {None, file.sha256}
    ]
    if others:
        raise Refused("OtherBytes", others)


async def wait_until_served(index: simple.Index, release: Release, *, deadline_seconds: float) -> None:
    """Wait until the index shows every file with its sha256 and hands out these very bytes.

    Raises:
        TryAgain: reason IndexNotVisible; the deadline passed, the message names what is still waited for.
        Refused: reason OtherBytes; someone else's file of this name came first.
    """
    begun = time.monotonic()
    pause, missing_before = _FIRST_PAUSE_SECONDS, ""
    while True:
        missing, asked_to_wait = await _missing(index, release)
        if not missing:
            return
        left = begun + deadline_seconds - time.monotonic()
        if left <= 0:
            raise TryAgain(
                "IndexNotVisible",
                f"After {deadline_seconds:g} s the index does not serve all of {release.project} {release.version}: "
                f"{missing}. Run again to go on waiting.",
                retry_after=asked_to_wait,
            )
        if missing != missing_before:
            sys.stderr.write(f"{WAITING}{missing}\n")
            missing_before = missing
        await asyncio.sleep(min(max(pause, asked_to_wait or 0.0), max(left, 0.01)))
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)


async def _missing(index: simple.Index, release: Release) -> tuple[str, float | None]:
    """Return what the index does not serve yet, as words, and how long it asked us to stay away."""
    try:
        shown = {file.filename: file for file in await index.files(release.project)}
        _refuse_others(release, {name: file.sha256 for name, file in shown.items() if file.sha256})
        absent = [file.name for file in release.files if file.name not in shown]
        if absent:
            return f"{', '.join(absent)} not listed yet", None
        for file in release.files:
            found = hashlib.sha256(await index.fetch(shown[file.name])).hexdigest()
            _refuse_others(release, {file.name: found})
            await _check_metadata(index, shown[file.name], file)
    except simple.Unavailable as problem:
        return str(problem), problem.retry_after
    except (simple.Corrupt, simple.Malformed) as problem:
        return str(problem), None
    return "", None


async def _check_metadata(index: simple.Index, shown: simple.IndexFile, file: ReleaseFile) -> None:
    """Compare a wheel's core metadata, where the index offers it apart, with what is in the wheel: installers trust it."""
    if shown.metadata is None or file.path.suffix != ".whl":
        return
    with zipfile.ZipFile(file.path) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        ours = archive.read(inside)
    if await index.fetch(shown.metadata) != ours:
        raise simple.Corrupt(f"The metadata that the index serves for {file.name} is not that in the wheel.")


def missing_files(release: Release, there: Iterable[str]) -> list[ReleaseFile]:
    """Return the files that are still to be uploaded, in their order."""
    names = set(there)
    return [file for file in release.files if file.name not in names]
