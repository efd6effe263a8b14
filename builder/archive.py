"""A wheel as an archive, before anything that it says is believed: its file name, and every file that it holds."""

from __future__ import annotations

import email.parser
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from builder.problems import Refused


@dataclass(frozen=True, slots=True)
class Archive:
    """A wheel's content. `name` (canonical), `version` and `tags` are those of the file name.

    `entries` are the names in the archive's order, a repeated one as often as it stands there; `files` their contents.
    """

    path: Path
    name: str
    version: Version
    tags: frozenset[Tag]
    entries: tuple[str, ...]
    files: Mapping[str, bytes]
    sha256: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read all of a wheel, whose checksums are compared on the way.

        Raises:
            Refused: reason WheelUnreadable; it is absent, no wheel, or damaged.
        """
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            with zipfile.ZipFile(path) as archive:
                entries = tuple(entry for entry in archive.namelist() if not entry.endswith("/"))
                files = {entry: archive.read(entry) for entry in entries}
        except InvalidWheelFilename as error:
            raise Refused("WheelUnreadable", [f"This is not the name of a wheel: {error}."]) from error
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise Refused("WheelUnreadable", [f"This cannot be read as an archive: {error}."]) from error
        return cls(path, canonicalize_name(name), version, tags, entries, files, digest)

    @property
    def dist_infos(self) -> list[str]:
        """The names of its `.dist-info` folders, of which a wheel has one."""
        folders = {entry.partition("/")[0] for entry in self.entries if "/" in entry}
        return sorted(folder for folder in folders if folder.endswith(".dist-info"))

    @property
    def dist_info(self) -> str:
        """The name of its `.dist-info` folder; empty when there is not exactly one."""
        found = self.dist_infos
        return found[0] if len(found) == 1 else ""

    @property
    def requires(self) -> list[str]:
        """Its requirements, as METADATA writes them."""
        return self._said("Requires-Dist")

    @property
    def requires_python(self) -> str:
        """The Pythons that METADATA promises (PEP 440 specifiers); empty when it does not say, or not in readable form."""
        said = ", ".join(self._said("Requires-Python"))
        try:
            SpecifierSet(said)
        except InvalidSpecifier:
            return ""
        return said

    def _said(self, field: str) -> list[str]:
        metadata = self.files.get(f"{self.dist_info}/METADATA", b"")
        parsed = email.parser.BytesHeaderParser().parsebytes(metadata)
        return [str(value) for value in parsed.get_all(field) or []]

    def package(self, module: str) -> dict[str, bytes]:
        """Return the files of a package, by path below its folder."""
        start = f"{module}/"
        return {path.removeprefix(start): data for path, data in self.files.items() if path.startswith(start)}
