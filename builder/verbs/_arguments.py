"""Reads a verb's arguments so that wrong use ends like any other refusal, with a report."""

from __future__ import annotations

import argparse
from typing import NoReturn

from yarl import URL

from builder.problems import Refused


class Arguments(argparse.ArgumentParser):
    """A parser that raises instead of leaving the program.

    Raises:
        Refused: reason WrongUse; an option is missing, unknown, or has a value of the wrong kind.
    """

    def __init__(self, verb: str, purpose: str) -> None:
        super().__init__(prog=f"python -m builder {verb}", description=purpose, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise Refused("WrongUse", [f"{self.prog}: {message}. See {self.prog} --help."])


def plain_url(url: str, *, instead: str) -> str:
    """Return an HTTP address that holds no credentials, for arguments show in the list of processes.

    `instead` says where credentials go.

    Raises:
        Refused: reason BadURL.
    """
    try:
        parsed = URL(url)
        parsed.origin()
    except ValueError as error:
        raise Refused("BadURL", [f"{url!r} is no HTTP address: {error}."]) from error
    if parsed.scheme not in {"http", "https"}:
        raise Refused("BadURL", [f"{url!r} is no HTTP address."])
    if parsed.user is not None or parsed.password is not None:
        raise Refused("BadURL", [f"The address of {parsed.with_user(None)} holds credentials. {instead}"])
    return url
