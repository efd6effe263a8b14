"""What a wheel says of itself: the facts that images need of it."""

from __future__ import annotations

import configparser
import email.parser
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from builder.problems import Refused


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file: name and version (normalised), requirements, console scripts, and the digest of its bytes."""

    path: Path
    name: str
    version: str
    requires: tuple[str, ...]
    scripts: tuple[str, ...]
    sha256: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a wheel.

        Raises:
            Refused: reason WheelUnreadable; it is absent or no wheel.
        """
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
            data = path.read_bytes()
            with zipfile.ZipFile(path) as archive:
                folder = next(
                    entry.partition("/")[0]
                    for entry in archive.namelist()
                    if entry.endswith(".dist-info/METADATA")
                    and canonicalize_name(entry.partition("-")[0]) == name
                )
                metadata = email.parser.BytesParser().parsebytes(archive.read(f"{folder}/METADATA"))
                points = configparser.ConfigParser(delimiters=("=",))
                points.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
                if f"{folder}/entry_points.txt" in archive.namelist():
                    points.read_string(archive.read(f"{folder}/entry_points.txt").decode())
        except (
            OSError,
            InvalidWheelFilename,
            zipfile.BadZipFile,
            StopIteration,
            configparser.Error,
        ) as error:
            raise Refused(
                "WheelUnreadable", [f"{path} is not a wheel that can be read: {error!r}. Build it again."]
            ) from error
        scripts = tuple(points["console_scripts"]) if points.has_section("console_scripts") else ()
        requires = tuple(str(value) for value in metadata.get_all("Requires-Dist") or [])
        return cls(path, name, str(version), requires, scripts, hashlib.sha256(data).hexdigest())
