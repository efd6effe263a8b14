"""How a run can fail, as types: wrong input, or a world that is not ready. One place turns them into report and exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Complaint:
    """One thing that is wrong, where a person finds it: `path:line: message`.

    `path` is POSIX and relative to the source; `line` counts from 1, 0 when the file as a whole is meant. `rule` is one
    of `builder.rules`, where a wheel is held to it.
    """

    path: str
    line: int
    message: str
    rule: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"


class Refused(ValueError):  # noqa: N818 -- the word of the contract (exit 10)
    """The input is wrong: someone must change it before the same run can succeed.

    `reason` is an enumerated CamelCase word; all complaints of one look are told together. `str()` is one line: the
    first of them, and how many more there are.
    """

    def __init__(self, reason: str, complaints: Iterable[Complaint | str]) -> None:
        self.reason = reason
        self.complaints = tuple(str(complaint) for complaint in complaints)
        more = len(self.complaints) - 1
        self.message = self.complaints[0] + (f" (and {more} more)" if more else "")
        super().__init__(self.message)


class TryAgain(Exception):  # noqa: N818 -- the word of the contract (exit 20)
    """The world was not ready (network, rate limit, a full disk): the same run may succeed later.

    `retry_after` is in seconds; None when nobody named a time.
    """

    def __init__(self, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
