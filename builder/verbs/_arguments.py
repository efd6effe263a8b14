"""Reads a verb's arguments so that wrong use ends like any other refusal, with a report."""

from __future__ import annotations

import argparse
from typing import NoReturn

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
