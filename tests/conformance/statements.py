"""The table: what the A2A specification demands of an agent, in our words, with the section that says so.

Each row is a function that checks one statement against a running agent; it fails with an exception. Beside it stands a
small fault of what the agent says that makes it fail, so that no row is there for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.conformance.agent import Agent, Fault

Level = Literal["MUST", "SHOULD"]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One row.

    Attributes:
        version: of the specification.
        section: where it stands there.
        fault: what makes the check fail.
    """

    version: str
    section: str
    level: Level
    text: str
    check: Callable[[Agent], None]
    fault: Fault

    def __str__(self) -> str:
        return f"{self.version} {self.section} {self.level} {self.text}"


class Table:
    """The rows of one part of a version of the specification."""

    def __init__(self, version: str) -> None:
        self.rows: list[Statement] = []
        self._version = version

    def must(self, section: str, text: str, *, fault: Fault) -> Callable[[Callable[[Agent], None]], None]:
        """Make a function the check of what is demanded."""
        return self._row(section, "MUST", text, fault)

    def should(self, section: str, text: str, *, fault: Fault) -> Callable[[Callable[[Agent], None]], None]:
        """Make a function the check of what is recommended."""
        return self._row(section, "SHOULD", text, fault)

    def _row(
        self, section: str, level: Level, text: str, fault: Fault
    ) -> Callable[[Callable[[Agent], None]], None]:
        def enter(check: Callable[[Agent], None]) -> None:
            row = Statement(
                version=self._version, section=section, level=level, text=text, check=check, fault=fault
            )
            self.rows.append(row)

        return enter
