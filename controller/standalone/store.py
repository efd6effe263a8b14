"""The object store of one machine: the document is a YAML file, the status a file beside a lock in the state folder.

Losing the folder costs wave progress and history, never a recorded verdict: verdicts are in the release records.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from controller.api.load import InvalidDocument, load
from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.errors import Terminal
from controller.standalone.files import unwritable, write_atomically
from controller.standalone.stops import stopped, stops_text

if TYPE_CHECKING:
    from controller.reconcile.protocols import StoredObject


class _Saved(BaseModel):
    """What the state file holds: the status, and the spec's hash that its generation counts."""

    model_config = ConfigDict(extra="ignore")

    generation: int = 0
    spec_sha256: str = ""
    status: Status = Status()


def read_document(file: Path) -> WorkspaceRuntime:
    """Return the document in `file`.

    Raises:
        Terminal: Invalid; the message has one line per problem, each with file, line, path, cause and cure.
    """
    return _parsed(file, _text(file))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Terminal(
            "Invalid", f"{file}: there is no such file.", fix="Name the document with -f FILE."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Terminal(
            "Invalid", f"{file}: cannot be read: {error}.", fix="Make it a readable UTF-8 text file."
        ) from None


def _parsed(file: Path, text: str) -> WorkspaceRuntime:
    try:
        return load(text, file=str(file))
    except InvalidDocument as error:
        raise Terminal("Invalid", str(error), fix="Nothing was touched.") from None


def object_folder(state: Path, document: WorkspaceRuntime) -> Path:
    """Return the folder of one object in the state folder."""
    return state / "objects" / f"{document.metadata.namespace}.{document.metadata.name}"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the files held when they were read last."""

    text: str
    stops: str
    document: WorkspaceRuntime
    spec_sha256: str


@dataclass
class FileStore:
    """The `ObjectStore` of a document in `file`, with its state under `folder` (see `object_folder`)."""

    file: Path
    folder: Path
    _saved: _Saved | None = field(default=None, init=False)
    _last: _Reading | None = field(default=None, init=False)

    async def read(self) -> StoredObject:
        """See `ObjectStore`. The generation grows by one when the spec's content changed."""
        from controller.reconcile.protocols import StoredObject  # noqa: PLC0415 -- `wsr status` does without, and answers sooner

        text, stops = _text(self.file), stops_text(self.folder)
        if self._last is None or (self._last.text, self._last.stops) != (text, stops):
            # A pass follows every action, and reading YAML takes longer than most of what a pass does.
            document = stopped(_parsed(self.file, text), self.folder)
            self._last = _Reading(text, stops, document, _spec_sha256(document))
        document, sha256 = self._last.document, self._last.spec_sha256
        saved = self._saved or self._load()
        if saved.spec_sha256 != sha256:
            saved = saved.model_copy(update={"generation": saved.generation + 1, "spec_sha256": sha256})
        self._saved = saved
        return StoredObject(document, saved.generation, saved.status)

    async def write(self, status: Status) -> None:
        """See `ObjectStore`."""
        saved = (self._saved or self._load()).model_copy(update={"status": status})
        write_atomically(self.folder / "status.json", saved.model_dump_json(indent=1, by_alias=True) + "\n")
        self._saved = saved

    def _load(self) -> _Saved:
        path = self.folder / "status.json"
        try:
            return _Saved.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return _Saved()
        except ValidationError:
            # Derived from the world anew; the unreadable file is kept for whoever wants to know.
            path.replace(path.with_suffix(".unreadable"))
            return _Saved()
        except OSError as error:
            raise Terminal(
                "StateUnreadable",
                f"{path} cannot be read: {error.strerror}.",
                fix="Make it a readable file, or remove it: only progress and history are lost.",
            ) from error


def saved_status(folder: Path) -> Status | None:
    """Return the status last written for an object, or None when there is none; for verbs that only look."""
    try:
        return _Saved.model_validate_json((folder / "status.json").read_bytes()).status
    except (OSError, ValidationError):
        return None


def status_is_of(folder: Path, document: WorkspaceRuntime) -> bool:
    """Return whether the status last written is about the document's spec as it is now; for verbs that only look."""
    try:
        saved = _Saved.model_validate_json((folder / "status.json").read_bytes())
    except (OSError, ValidationError):
        return False
    return saved.spec_sha256 == _spec_sha256(document)


def _spec_sha256(document: WorkspaceRuntime) -> str:
    return hashlib.sha256(document.spec.model_dump_json().encode()).hexdigest()


class AlreadyRunning(Terminal):
    """Another process works on the object; `url` is where it listens, None when it does not."""

    def __init__(self, folder: Path, *, pid: int | None, url: str | None) -> None:
        named = "" if pid is None else f" (process {pid})"
        super().__init__(
            "AlreadyRunning",
            f"Another wsr run{named} works on this object with state folder {folder}.",
            fix="Let it finish or stop it; two of them on one object would undo each other's work.",
        )
        self.url = url


@contextlib.contextmanager
def sole_runner(folder: Path) -> Iterator[Callable[[str], None]]:
    """Hold the object's lock for as long as the block runs; the kernel lets go of it when the process dies.

    Yields what tells others where this process listens, as a URL.

    Raises:
        AlreadyRunning: it names the process that holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            raise _already_running(folder, descriptor) from None
        pid = os.getpid()
        _note(descriptor, {"pid": pid})
        yield lambda url: _note(descriptor, {"pid": pid, "url": url})
    finally:
        os.close(descriptor)


def _note(descriptor: int, facts: dict[str, object]) -> None:
    text = json.dumps(facts).encode()
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def _already_running(folder: Path, descriptor: int) -> AlreadyRunning:
    facts: dict[str, Any] = {}
    with contextlib.suppress(ValueError):  # it holds the lock and has not written yet
        facts = json.loads(os.pread(descriptor, 1_000, 0))
    return AlreadyRunning(folder, pid=facts.get("pid"), url=facts.get("url"))
