"""Secrets of one machine: Secret NAME is the folder DIR/NAME with one private file per key."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from controller.model.errors import Terminal

_SECRET_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A user name and a password or token."""

    username: str
    password: str = field(repr=False)

    @classmethod
    def from_files(cls, files: Mapping[str, Path]) -> Self:
        """Read the keys `username` and `password`, or `token`, of a Secret's files.

        A token alone gets the user name `__token__`, which package indexes take for "see the password".

        Raises:
            Terminal: SecretIncomplete, naming the folder and the keys that are missing.
        """
        if "token" in files:
            return cls("__token__", content_of(files["token"]))
        missing = [key for key in ("username", "password") if key not in files]
        if missing:
            folder = next(iter(files.values())).parent if files else "the Secret's folder"
            raise Terminal(
                "SecretIncomplete",
                f"{folder} has no {' and no '.join(missing)}.",
                fix="Write the files username and password there, or token.",
            )
        return cls(content_of(files["username"]), content_of(files["password"]))

    @classmethod
    def of_reader(cls, files: Mapping[str, Path]) -> Self | None:
        """Return who reads an index with a Secret; the identity of a trusted publisher alone can only upload.

        Raises:
            Terminal: SecretIncomplete, as `from_files`.
        """
        return None if files.keys() == {"oidc-token"} else cls.from_files(files)


def read_secret(directory: Path | None, name: str, *, field: str) -> Mapping[str, Path]:
    """Return the files of Secret `name` by key, as `directory/name/<key>`; `field` is where it is named, for messages.

    Raises:
        Terminal: SecretNotFound when the folder is not there or holds no file, SecretExposed when a file is accessible
            to others; the message says what to create or change.
    """
    named = f"{field} names Secret {name}"
    if directory is None:
        raise Terminal(
            "SecretNotFound",
            f"{named}, but there is no folder of Secrets.",
            fix="Pass --secrets DIR or set WSR_SECRETS_DIR; Secret NAME is the folder DIR/NAME with one file per key.",
        )
    if _SECRET_NAME.fullmatch(name) is None:
        raise Terminal(
            "SecretNotFound",
            f"{field}: {name!r} is not the name of a Secret.",
            fix="Use lower-case letters, digits, '-' and '.', as Kubernetes does.",
        )
    folder = directory / name
    try:
        files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as error:
        raise Terminal(
            "SecretNotFound",
            f"{named}, which cannot be read from {folder}: {error.strerror}.",
            fix=f"Create {folder} with one file per key, for example {folder}/token, readable only by you.",
        ) from error
    if not files:
        raise Terminal(
            "SecretNotFound",
            f"{named}, which has no key: {folder} holds no file.",
            fix=f"Write one file per key there, for example {folder}/token, readable only by you.",
        )
    for path in files.values():
        _refuse_exposed(path, f"{named}, and {path}")
    return files


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        Terminal: SecretNotFound, SecretIncomplete (empty, or not readable as text) or SecretExposed (open to others).
    """
    if not path.is_file():
        raise Terminal(
            "SecretNotFound", f"{path} is no file.", fix="Write the token there, readable only by you."
        )
    _refuse_exposed(path, str(path))
    token = content_of(path)
    if not token:
        raise Terminal("SecretIncomplete", f"{path} is empty.", fix="Write the token there.")
    return token


def _refuse_exposed(path: Path, shown: str) -> None:
    if path.stat().st_mode & _OTHERS:
        raise Terminal(
            "SecretExposed",
            f"{shown} is accessible to others (mode {path.stat().st_mode & 0o777:04o}).",
            fix=f"Run: chmod 600 {path}",
        )


def content_of(path: Path) -> str:
    """Return what a file holds, without white space around it; raises Terminal SecretIncomplete when it is no text."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Terminal(
            "SecretIncomplete",
            f"{path} cannot be read: {error}.",
            fix="Make it a readable text file that holds nothing but the value.",
        ) from error
