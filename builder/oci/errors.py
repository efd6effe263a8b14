"""What can go wrong with a registry, as types a caller can decide on without reading text."""

# ruff: noqa: N818 -- the names are the words callers decide on; they derive from RegistryError
from __future__ import annotations


class RegistryError(Exception):
    """A registry did not do what it was asked; `str()` is one line for people."""


class NotFound(RegistryError):
    """The manifest, blob or repository does not exist: the only answer that counts as absence."""


class Unauthorized(RegistryError):
    """Credentials are missing, wrong, or not enough for this repository (401, 403)."""


class Refused(RegistryError):
    """The registry understood the request and will not do it (4xx): the same request fails again."""


class ReadOnly(Refused):
    """The registry takes no writes (405), as while it is maintained: what is asked for can be done when that ends."""


class Corrupt(RegistryError):
    """What was read is not what its digest, size or media type says; it must not be used."""


class Unavailable(RegistryError):
    """The registry could not be reached or failed by itself (network, 5xx); trying again may help.

    `retry_after` is in seconds; None when the registry named no time.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Disconnected(Unavailable):
    """No answer came, or it broke off: what was under way may be gone on with."""


class RateLimited(Unavailable):
    """The registry asks for fewer requests (429)."""
