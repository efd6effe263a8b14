"""Checks what a wheel says of itself: an installer believes METADATA, WHEEL and RECORD, and an index never looks again."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file
from packaging.metadata import InvalidMetadata, Metadata
from packaging.tags import Tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.archive import Archive
from builder.findings import Finding

_BELIEVED: Final = frozenset(
    {"metadata-version", "name", "version", "requires-python", "requires-dist", "provides-extra"}
)
"""The fields that installers act on. Others are for readers, and tools of some years ago wrote more of them than allowed."""
_SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
"""The two files that RECORD never lists (PEP 427)."""
_PURE: Final = frozenset({Tag("py3", "none", "any")})


def examine_metadata(archive: Archive) -> list[Finding]:
    """Return what is wrong with a wheel's `.dist-info` folder."""
    if not archive.dist_info:
        found = ", ".join(archive.dist_infos) or "none"
        message = f"A wheel has exactly one .dist-info folder; here: {found}."
        return [Finding(archive.path.name, 0, "DistInfoMismatch", message)]
    return sorted(
        {*_folder(archive), *_metadata(archive), *_wheel(archive), *_record(archive)},
    )


def _folder(archive: Archive) -> Iterator[Finding]:
    name, _, version = archive.dist_info.removesuffix(".dist-info").partition("-")
    if canonicalize_name(name) != archive.name or not _same(version, archive.version):
        message = f"This folder is not that of {archive.name} {archive.version}, which the file's name says."
        yield Finding(archive.dist_info, 0, "DistInfoMismatch", message)


def _metadata(archive: Archive) -> Iterator[Finding]:
    path = f"{archive.dist_info}/METADATA"
    if path not in archive.files:
        yield Finding(path, 0, "MetadataInvalid", "There is no such file.")
        return
    data = archive.files[path]
    try:
        Metadata.from_email(data)
    except ExceptionGroup as group:
        for error in group.exceptions:
            if isinstance(error, InvalidMetadata) and _field(error) in _BELIEVED:
                line = _line_of(data, _field(error), str(error))
                yield Finding(path, line, "MetadataInvalid", f"{str(error)[:1].upper()}{str(error)[1:]}.")
    said = Metadata.from_email(data, validate=False)
    try:
        wrong = {
            "name": canonicalize_name(said.name) != archive.name and said.name,
            "version": said.version != archive.version and str(said.version),
        }
    except InvalidMetadata:
        return  # told above
    for field, value in wrong.items():
        if value:
            message = f"The {field} is {value}, and the file's name says {getattr(archive, field)}."
            yield Finding(path, _line_of(data, field, ""), "MetadataInvalid", message)


def _field(error: InvalidMetadata) -> str:
    return error.field.replace("_", "-")


def _line_of(data: bytes, field: str, complaint: str) -> int:
    """Return the line of a field, of the one whose value is complained about if there are several; 0 if there is none."""
    start = f"{field}:"
    lines = data.decode(errors="replace").splitlines()
    found = [(number, line) for number, line in enumerate(lines, 1) if line.lower().startswith(start)]
    meant = [number for number, line in found if repr(line.partition(":")[2].strip()) in complaint]
    return next(iter([*meant, *(number for number, _ in found)]), 0)


def _wheel(archive: Archive) -> Iterator[Finding]:
    path = f"{archive.dist_info}/WHEEL"
    lines = archive.files.get(path, b"").decode(errors="replace").splitlines()
    fields = [
        (number, name.strip(), value.strip())
        for number, line in enumerate(lines, 1)
        for name, colon, value in [line.partition(":")]
        if colon
    ]
    if not fields:
        yield Finding(path, 0, "WheelNotPure", "There is no such file, or it says nothing.")
        return
    for number, name, value in fields:
        if name == "Root-Is-Purelib" and value != "true":
            message = f"Root-Is-Purelib is {value!r}: the files would go where those of one platform go."
            yield Finding(path, number, "WheelNotPure", message)
        if name == "Tag" and value != "py3-none-any":
            message = f"The tag {value} does not hold for every Python 3 on every platform."
            yield Finding(path, number, "WheelNotPure", message)
    if archive.tags != _PURE:
        tags = ", ".join(sorted(map(str, archive.tags)))
        message = f"The file's name says {tags}, which does not hold for every Python 3 on every platform."
        yield Finding(archive.path.name, 0, "WheelNotPure", message)


def _record(archive: Archive) -> Iterator[Finding]:
    path = f"{archive.dist_info}/RECORD"
    if path not in archive.files:
        yield Finding(path, 0, "RecordMismatch", "There is no such file.")
        return
    for entry in _repeated(archive.entries):
        yield Finding(entry, 0, "RecordMismatch", "The archive holds this file more than once.")
    try:
        rows = list(parse_record_file(archive.files[path].decode(errors="replace").splitlines()))
    except InvalidRecordEntry as error:
        yield Finding(path, 0, "RecordMismatch", f"This is not a record of files: {error}.")
        return
    for number, row in enumerate(rows, 1):
        if complaint := _row(archive, row, path):
            yield Finding(path, number, "RecordMismatch", complaint)
    for entry in _repeated(row[0] for row in rows):
        yield Finding(path, 0, "RecordMismatch", f"{entry} is listed more than once.")
    unlisted = archive.files.keys() - {row[0] for row in rows}
    for entry in sorted(unlisted - {f"{archive.dist_info}/{name}" for name in _SIGNATURES}):
        yield Finding(entry, 0, "RecordMismatch", "RECORD does not list this file.")


def _repeated(entries: Iterable[str]) -> list[str]:
    return [entry for entry, times in Counter(entries).items() if times > 1]


def _row(archive: Archive, row: tuple[str, str, str], record: str) -> str:
    """Return what is wrong with one line of RECORD; empty when it is right."""
    entry = row[0]
    if entry not in archive.files:
        return f"{entry} is listed, and is not in the archive."
    if entry == record:
        return ""
    try:
        expected = RecordEntry.from_elements(*row)
    except InvalidRecordEntry as error:
        return f"The line for {entry} cannot be read: {error}."
    if expected.hash_ is None or expected.size is None:
        return f"The line for {entry} has no hash or no size."
    if not expected.validate_stream(io.BytesIO(archive.files[entry])):
        return f"{entry} is not the file that was recorded: its hash or size differs."
    return ""


def _same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False
