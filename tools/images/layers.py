"""Layers whose bytes depend on nothing but what is in them: sorted or in a given order, owner 0, time 0, no names."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from builder.oci import sha256_digest

CAPABILITY: Final = "SCHILY.xattr.security.capability"
"""The record of a tar that says what a program may do more than who starts it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as registries take it: the compressed file, its digest, and that of the tar in it."""

    file: Path
    digest: str
    diff_id: str
    size: int

    @classmethod
    def of(cls, tar: Path, file: Path) -> Layer:
        """Compress `tar` into `file`, which appears complete or not at all."""
        partial = file.with_suffix(".partial")
        with (
            tar.open("rb") as plain,
            partial.open("wb") as out,
            gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0, filename="") as packed,
        ):
            shutil.copyfileobj(plain, packed, 1 << 20)
        partial.rename(file)
        return cls.read(file)

    @classmethod
    def read(cls, file: Path) -> Layer:
        """Take a layer that was compressed before."""
        plain = hashlib.sha256()
        with gzip.open(file) as packed:
            while chunk := packed.read(1 << 20):
                plain.update(chunk)
        data = file.read_bytes()
        return cls(file, sha256_digest(data), f"sha256:{plain.hexdigest()}", len(data))


def write_tar(tar: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes | None]]) -> None:
    """Write entries in the order given, without owner and time."""
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry, data in entries:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            entry.pax_headers = {
                name: value for name, value in entry.pax_headers.items() if name == CAPABILITY
            }
            archive.addfile(entry, io.BytesIO(data) if data is not None else None)


def tree_entries(files: Mapping[str, Path | bytes | str]) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Yield entries for files by their path in the image, each behind its folders; a str is where a link leads.

    What may be run keeps that right, and has no other.
    """
    folders: set[PurePosixPath] = set()
    for name, content in sorted(files.items()):
        for folder in reversed(PurePosixPath(name).parents[:-1]):
            if folder not in folders:
                folders.add(folder)
                yield _entry(str(folder), tarfile.DIRTYPE, 0o755), None
        if isinstance(content, str):
            link = _entry(name, tarfile.SYMTYPE, 0o777)
            link.linkname = content
            yield link, None
            continue
        data = content if isinstance(content, bytes) else content.read_bytes()
        runs = isinstance(content, Path) and content.stat().st_mode & 0o100
        file = _entry(name, tarfile.REGTYPE, 0o755 if runs else 0o644)
        file.size = len(data)
        yield file, data


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
