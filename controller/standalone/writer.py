"""The name under which a process writes release records: the same after every restart, and never that of two at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from contextlib import ExitStack
from itertools import count
from pathlib import Path


class WriterName:
    """A name from the state folder, taken when it is first asked for and given back by `close`, or when the process dies.

    A second process beside the first one has a second name, and so on. The name goes by the file that holds it, so that
    a copy of the folder on another machine is another writer.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is written before the first call."""
        self._folder = folder
        self._held = ExitStack()
        self._name: str | None = None

    def __call__(self) -> str:
        """Return the name; a random one where the folder cannot be written."""
        if self._name is None:
            self._name = secrets.token_hex(4)
            with contextlib.suppress(OSError):
                self._name = self._taken()
        return self._name

    def close(self) -> None:
        """Let another process have the name."""
        self._held.close()
        self._name = None

    def _taken(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        places = (self._folder / f"writer-{number}" for number in count())
        descriptor = next(held for place in places if (held := _locked(place)) is not None)
        self._held.callback(os.close, descriptor)
        seed = os.pread(descriptor, 64, 0)
        if not seed:
            seed = secrets.token_hex(16).encode()
            os.pwrite(descriptor, seed, 0)
        return hashlib.sha256(b"%s %d" % (seed, os.fstat(descriptor).st_ino)).hexdigest()[:8]


def _locked(place: Path) -> int | None:
    """Return a file, locked by us; None when another process has it."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor
