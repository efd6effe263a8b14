"""A Python file as text that can be added to at the parser's positions without losing a byte."""

from __future__ import annotations

import ast
import bisect
import codecs
import io
import itertools
import re
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from builder.problems import Complaint

_LINE_END: Final = re.compile(rb"\r\n?|\n")
_BYTES_AFTER_DECODING: Final = "utf-8"


class Unreadable(Exception):  # noqa: N818 -- the state of the file
    """Python cannot read this file; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message

    def at(self, path: str) -> Complaint:
        """Return this as a complaint about the file at `path`."""
        return Complaint(path, self.line, self.message)


@dataclass(frozen=True, slots=True)
class Insertion:
    """Put bytes in at `place`, an offset into a text's UTF-8 form; nothing is ever taken out."""

    place: int
    added: bytes


@dataclass(slots=True)
class Text:
    """One file: `utf8` is what the parser's columns count, whatever the file's own encoding."""

    utf8: bytes
    encoding: str
    mark: bytes = b""
    _starts: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, raw: bytes) -> Text:
        """Decode a file by its byte order mark or its declaration (PEP 263).

        Raises:
            Unreadable: it has bytes that its encoding does not, or cannot be written back unchanged.
        """
        mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
        encoding = _encoding(raw)
        try:
            decoded = raw[len(mark) :].decode(encoding)
        except UnicodeDecodeError as error:
            place = len(mark) + error.start
            line = len(_LINE_END.findall(raw, 0, place)) + 1
            raise Unreadable(
                line,
                f"Byte 0x{raw[place]:02x} is not {encoding}. Save the file as UTF-8, or declare its encoding in line 1.",
            ) from error
        if mark + decoded.encode(encoding) != raw:
            raise Unreadable(
                1, f"Encoding {encoding} cannot be written back byte for byte. Save the file as UTF-8."
            )
        return cls(decoded.encode(_BYTES_AFTER_DECODING), encoding, mark)

    def parse(self) -> ast.Module:
        """Parse the file.

        Raises:
            Unreadable: Python does not accept it.
        """
        if b"\0" in self.utf8:
            line = len(_LINE_END.findall(self.utf8, 0, self.utf8.index(b"\0"))) + 1
            raise Unreadable(line, "Python cannot read this file: it holds a null byte.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # about escapes in strings: the author's concern, not the package's
                return ast.parse(self.utf8.decode())
        except SyntaxError as error:
            raise Unreadable(error.lineno or 1, f"Python cannot read this file: {error.msg}.") from error
        except (RecursionError, MemoryError) as error:
            raise Unreadable(1, "Python cannot read this file: it is nested too deeply.") from error

    def span(self, node: ast.stmt | ast.expr | ast.alias) -> tuple[int, int]:
        """Return where a node starts and ends in `utf8`."""
        starts = self._line_starts()
        start = starts[node.lineno - 1] + node.col_offset
        return start, starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def line(self, place: int) -> int:
        """Return the line, from 1, of an offset into `utf8`."""
        return bisect.bisect_right(self._line_starts(), place)

    def _line_starts(self) -> list[int]:
        if not self._starts:
            self._starts = [0, *itertools.accumulate(map(len, self.utf8.splitlines(keepends=True)))]
        return self._starts

    def with_insertions(self, insertions: Iterable[Insertion]) -> bytes:
        """Return the file's bytes with something put in, every byte of its own as it was."""
        pieces: list[bytes] = []
        done = 0
        for insertion in sorted(insertions, key=lambda each: each.place):
            pieces += [self.utf8[done : insertion.place], insertion.added]
            done = insertion.place
        whole = b"".join([*pieces, self.utf8[done:]])
        if self.encoding != _BYTES_AFTER_DECODING:
            whole = whole.decode(_BYTES_AFTER_DECODING).encode(self.encoding)
        return self.mark + whole


def _encoding(raw: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError as error:
        if "encoding declaration" in str(
            error
        ):  # none is there: the first bytes are not UTF-8, which is told exactly
            return "utf-8"
        raise Unreadable(1, f"Python cannot read this file: {error.msg}. Save it as UTF-8.") from error
    return "utf-8" if encoding == "utf-8-sig" else encoding
