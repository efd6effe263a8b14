"""The stops of an object of this machine that verbs set: kept in its state folder, since the document is its owner's file."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from controller.api.annotations import checked
from controller.api.stops import Changes, changed, joined
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.errors import Terminal
from controller.standalone.files import unwritable, write_atomically

_FILE = "stops.json"
_ANNOTATIONS = TypeAdapter(dict[str, str])


def stops_file(folder: Path) -> Path:
    """Return the file of an object's stops in its state folder."""
    return folder / _FILE


def stops_text(folder: Path) -> str:
    """Return what the file holds; empty when there is none.

    Raises:
        Terminal: StateUnreadable.
    """
    try:
        return stops_file(folder).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(folder, str(error)) from None


def stops_in(folder: Path) -> dict[str, str]:
    """Return the annotations that verbs have put on the object.

    Raises:
        Terminal: StateUnreadable: what is held there must not be moved because nobody can read that it is.
    """
    text = stops_text(folder)
    if not text:
        return {}
    try:
        return checked(_ANNOTATIONS.validate_json(text))
    except (ValidationError, ValueError) as error:
        raise _unreadable(folder, str(error).splitlines()[0]) from None


def stopped(document: WorkspaceRuntime, folder: Path) -> WorkspaceRuntime:
    """Return the document with the stops in its state folder; raises as `stops_in`."""
    beside = stops_in(folder)
    if not beside:
        return document
    annotations = joined(document.metadata.annotations, beside)
    metadata = document.metadata.model_copy(update={"annotations": annotations})
    return document.model_copy(update={"metadata": metadata})


def change_stops(folder: Path, how: Callable[[Mapping[str, str]], Changes]) -> Changes:
    """Change them as `how` says of what is there, and return the changes; a run that watches takes them up at once.

    Raises:
        Terminal: as `stops_in`, or StateUnwritable.
    """
    if not how(stops_in(folder)):
        return {}  # and nothing is left where there was nothing
    with _alone(folder):
        before = stops_in(folder)
        changes = how(before)
        after = changed(before, changes)
        if after != before:
            write_atomically(stops_file(folder), _ANNOTATIONS.dump_json(after, indent=1).decode() + "\n")
        return changes


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other verbs from changing them meanwhile."""
    lock = folder / f".{_FILE}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise unwritable(folder, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _unreadable(folder: Path, cause: str) -> Terminal:
    return Terminal(
        "StateUnreadable",
        f"{stops_file(folder)} cannot be read: {cause.rstrip('.')}.",
        fix="It says what is held, so nothing is moved. Correct it, or remove it to let all of that go.",
    )
