"""Write down every use of a tool so that nobody can change or take away a line unnoticed: the audit ledger.

Each line carries the digest of the line before it. Whoever changes, moves or removes one breaks the chain from there
on; what is cut off at the end shows only to who knows an earlier digest, which `molecule-runtime audit` prints.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from builtin_tools.tool import Tool

LEDGER_FILE = "audit.jsonl"
BEGINNING = "0" * 64
MAX_TEXT_CHARACTERS = 2000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a look through the ledger found: how many lines hold, the digest of the last of them, and what is wrong."""

    lines: int
    digest: str
    problem: str | None


class AuditLedger:
    """The ledger of one workspace. Several processes may write to the same file."""

    def __init__(self, folder: Path, scrub: Callable[[str], str]) -> None:
        """`scrub` takes secrets out of what is written down."""
        self._path = folder / LEDGER_FILE
        self._scrub = scrub

    def watch(self, tool: Tool) -> Tool:
        """Return the tool with each use of it written down, before whoever used it is told how it ended."""

        def run(**arguments: str) -> str:
            try:
                told = tool.run(**arguments)
            except Exception as error:
                self._note(tool.name, arguments, "failed", f"{type(error).__name__}: {error}")
                raise
            self._note(tool.name, arguments, "done", told)
            return told

        return replace(tool, run=run)

    def add(self, entry: Mapping[str, Any]) -> str:
        """Write a line down; return its digest.

        Raises:
            OSError: the file cannot be written.
        """
        with self._locked() as file:
            previous = _last_digest(file)
            line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry, "previous": previous}
            digest = _digest(line)
            file.seek(0, os.SEEK_END)
            file.write(json.dumps({**line, "sha256": digest}, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return digest

    def verify(self, known: str | None = None) -> Verdict:
        """Look the whole ledger through; `known` is a digest that was printed before and must still be in it.

        Raises:
            OSError: the file is there and cannot be read.
        """
        digest, count, met = BEGINNING, 0, known is None
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            content = b""
        for number, text in enumerate(content.splitlines(), 1):
            problem, found = _check(text, digest)
            if problem is not None:
                return Verdict(lines=count, digest=digest, problem=f"line {number} {problem}")
            digest, count = found, count + 1
            met = met or found == known
        problem = None if met else f"the line with digest {known} is gone: the end of the ledger was cut off"
        return Verdict(lines=count, digest=digest, problem=problem)

    def _note(self, tool: str, arguments: Mapping[str, str], outcome: str, text: str) -> None:
        entry = {
            "tool": tool,
            "arguments": {name: self._short(value) for name, value in arguments.items()},
            "outcome": outcome,
            "text": self._short(text),
        }
        try:
            self.add(entry)
        except OSError as error:
            logger.error("Going on although the use of tool %s is not written down: %s", tool, error)  # noqa: TRY400 - the cause is the text

    def _short(self, text: str) -> str:
        scrubbed = self._scrub(text)
        return scrubbed if len(scrubbed) <= MAX_TEXT_CHARACTERS else f"{scrubbed[:MAX_TEXT_CHARACTERS]}…"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """Hold the file alone: two lines after the same one would be a break in the chain."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def main(arguments: list[str]) -> int:
    """Verify the ledger of this workspace: `molecule-runtime audit [DIGEST]`."""
    from builtin_tools.security import Scrubber  # noqa: PLC0415 - beside its only use
    from environment import config_folder  # noqa: PLC0415 - as above

    ledger = AuditLedger(config_folder(), Scrubber().scrub)
    try:
        verdict = ledger.verify(arguments[0] if arguments else None)
    except OSError as error:
        sys.stderr.write(f"the audit ledger cannot be read: {error}\n")
        return 1
    if verdict.problem is not None:
        sys.stderr.write(f"{verdict.problem}; {verdict.lines} lines before it hold\n")
        return 1
    sys.stdout.write(f"{verdict.lines} lines hold, digest {verdict.digest}\n")
    return 0


def _check(text: bytes, previous: str) -> tuple[str | None, str]:
    try:
        line = json.loads(text)
        claimed = line.pop("sha256")
    except (ValueError, TypeError, KeyError, AttributeError):
        return "is damaged", ""
    if line.get("previous") != previous:
        return "does not follow the line before it: something was changed, moved or removed there", ""
    if claimed != _digest(line):
        return "was changed after it was written", ""
    return None, claimed


def _digest(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _last_digest(file: IO[bytes]) -> str:
    """Read the digest of the last line; a last line that is damaged counts by its bytes, so that it stays noticed."""
    file.seek(0, os.SEEK_END)
    size = file.tell()
    block = b""
    while size > 0 and block.strip().count(b"\n") == 0:
        step = min(size, 65536)
        size -= step
        file.seek(size)
        block = file.read(step) + block
    last = block.strip().rsplit(b"\n", 1)[-1]
    if not last:
        return BEGINNING
    try:
        return str(json.loads(last)["sha256"])
    except (ValueError, TypeError, KeyError):
        if not block.endswith(b"\n"):
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        return hashlib.sha256(last).hexdigest()
