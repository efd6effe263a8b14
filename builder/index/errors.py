"""What can go wrong with a package index, as types a caller can decide on without reading text."""

# ruff: noqa: N818 -- the names are the words callers decide on; they derive from IndexProblem
from __future__ import annotations


class IndexProblem(Exception):
    """An index did not do what it was asked; `str()` is one line for people, without credentials."""


class Unauthorized(IndexProblem):
    """Credentials are missing, wrong, or not enough (401, 403)."""


class Refused(IndexProblem):
    """The index understood the request and will not do it (other 4xx, a redirect loop): asking again is no use."""


class Malformed(IndexProblem):
    """The answer is no index page: a page for people, a wrong type, broken JSON. The address may be wrong."""


class Corrupt(IndexProblem):
    """The bytes of a file are not those whose sha256 the index shows; they must not be used."""


class Unavailable(IndexProblem):
    """The index could not be reached, broke off or failed by itself (network, 429, 5xx); asking again may help.

    `retry_after` is in seconds; None when the index named no time.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
