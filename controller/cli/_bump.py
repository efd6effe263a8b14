"""What `wsr bump` does: reads a file, has its version replaced, puts the new file in its place, and pushes it if asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from controller.api.bump import Bumped, bump_document
from controller.api.load import InvalidDocument
from controller.api.pin import bump_pin
from controller.api.v1alpha1 import Package
from controller.api.version import checked_version
from controller.clients.git import Repository
from controller.model.errors import Terminal
from controller.plan.release import TAG_PREFIX
from controller.secret_files import read_token
from controller.settings import Settings

_PACKAGE: Final[str] = Package.model_fields["name"].default
_UNTOUCHED: Final = "Nothing was touched."


def bump_file(file: str, version: str, *, name: str | None) -> dict[str, Any]:
    """Write `version`, or that of a release's tag, into `file`; return what changed.

    Raises:
        Terminal: Invalid (no version, no file, or no one place for it in the file), Unwritable.
    """
    try:
        wanted = checked_version(version.removeprefix(TAG_PREFIX))
    except ValueError as error:
        raise Terminal("Invalid", f"{error}.", fix=_UNTOUCHED) from None
    # A link stays one: the file that it leads to is replaced.
    path = _resolved(file)
    text = _read(file, path)
    try:
        bumped = _bumped(text, wanted, file=file, name=name)
    except InvalidDocument as error:
        raise Terminal("Invalid", f"{error}.", fix=_UNTOUCHED) from None
    changed = bumped.text != text
    if changed:
        _replace(path, bumped.text)
    return {
        "file": file,
        "line": bumped.line,
        "before": bumped.before,
        "after": wanted,
        "changed": changed,
    }


def push_bump(facts: Mapping[str, Any], token_file: Path | None) -> dict[str, Any]:
    """Commit and push the file of `facts`; return the commit. A file that is pushed already is left as it is.

    Raises:
        Problem: the token cannot be read, or git refuses.
    """
    settings = Settings.of_process()
    token = read_token(token_file) if token_file else settings.github.release_token
    path = Path(facts["file"]).resolve()
    repository = Repository(path.parent, settings.child_environment, token=token)
    message = f"Run version {facts['after']} of the workspace runtime"
    return {"commit": asyncio.run(repository.push_file(path, message))}


def table(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as a line for people."""
    where = f"{facts['file']}:{facts['line']}"
    done = f"{facts['before']} is now {facts['after']}" if facts["changed"] else f"{facts['after']} already"
    pushed = f", pushed as {facts['commit'][:7]}" if "commit" in facts else ""
    return [f"{where}: {done}{pushed}."]


def _bumped(text: str, version: str, *, file: str, name: str | None) -> Bumped:
    if file.endswith(".txt"):
        return bump_pin(text, version, package=_PACKAGE, file=file)
    return bump_document(text, version, file=file, name=name)


def _resolved(file: str) -> Path:
    if not file:
        raise Terminal(
            "Invalid",
            "FILE is empty: no file is named.",
            fix="Name the document that holds the version; in a workflow, set the variable that names it.",
        )
    return Path(file).resolve()


def _read(file: str, path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise Terminal(
            "Invalid", f"{file}: there is no such file.", fix="Name the document that holds the version."
        ) from None
    except UnicodeDecodeError as error:
        raise Terminal(
            "Invalid", f"{file}: byte {error.start} is not UTF-8.", fix="Store it as UTF-8 text."
        ) from None
    except OSError as error:
        raise Terminal(
            "Invalid", f"{file}: cannot be read: {error.strerror}.", fix="Make it a readable file."
        ) from None


def _replace(path: Path, text: str) -> None:
    """Put `text` into the place of a file, whole or not at all; its mode stays."""
    aside = None
    try:
        mode = path.stat().st_mode
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode & 0o7777)
            stream.write(text.encode())
            stream.flush()
            os.fsync(descriptor)
        Path(aside).replace(path)
    except OSError as error:
        if aside is not None:
            with contextlib.suppress(OSError):
                Path(aside).unlink()
        raise Terminal(
            "Unwritable",
            f"{path} cannot be written: {error.strerror}.",
            fix="Make the file and its folder writable, with space left.",
        ) from error
