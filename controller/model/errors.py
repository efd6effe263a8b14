"""The error taxonomy: every failure of the outside world is one of these, or a bug.

It stands in `model/` because `clients/` translate library exceptions into it at the border, and everything
above only ever sees these types.
"""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):  # noqa: N818 -- "Transient" and "Waiting" are the field's words; not all of them are errors
    """A failure with a known meaning; `str()` of it is one line for people."""


class Transient(Problem):
    """The world did not answer as it should (network, 409, 429, 5xx); trying again may help.

    `retry_after` is in seconds; None leaves the choice to the back-off.
    """

    def __init__(self, cause: str, *, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after


class NotFound(Problem):
    """The thing asked for does not exist: the only answer that counts as absence."""


class Waiting(Problem):
    """Nothing is wrong; something must happen first. `retry_after` is in seconds.

    `reason` is an enumerated word where somebody else has to do it, as to push a tag.
    """

    def __init__(self, for_what: str, *, retry_after: float, reason: str | None = None) -> None:
        super().__init__(f"Waiting for {for_what}")
        self.for_what = for_what
        self.retry_after = retry_after
        self.reason = reason


class Terminal(Problem):
    """Someone must change something before this can succeed.

    `reason` is an enumerated CamelCase word, `message` says what failed and on what, `fix` what to do next.
    """

    def __init__(self, reason: str, message: str, *, fix: str) -> None:
        super().__init__(f"{message} {fix}")
        self.reason = reason
        self.message = message
        self.fix = fix


class PartlyFailed(Problem):
    """Parts of an action failed, each with a cause of its own by its name; the rest of it was done."""

    def __init__(self, causes: Mapping[str, Problem]) -> None:
        super().__init__(" ".join(map(str, causes.values())))
        self.causes = causes
