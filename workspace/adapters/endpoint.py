"""The model endpoint of a framework: which variables lead to it, and whose fault it is when it refuses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.base import AdapterConfigurationError

_NOT_FOUND = 404
_REFUSALS = frozenset({401, 403})


@dataclass(frozen=True, kw_only=True)
class ModelEndpoint:
    """Where a framework finds its model.

    Attributes:
        key_variable: the environment variable with the key.
        url_variable: the one with the address, for an endpoint that is not the vendor's own.
    """

    key_variable: str
    url_variable: str

    def key(self) -> str:
        """Return the key.

        Raises:
            AdapterConfigurationError: there is none.
        """
        key = os.environ.get(self.key_variable)
        if not key:
            raise AdapterConfigurationError(
                f"{self.key_variable} is not set; set it to a key of the model endpoint and restart"
            )
        return key

    def url(self) -> str | None:
        """Return the address, or None for the vendor's own."""
        return os.environ.get(self.url_variable) or None

    def refused(self, status: int | None) -> AdapterConfigurationError:
        """Return what the owner must change when the endpoint does not take the key, with what it answered."""
        return AdapterConfigurationError(
            f"{self._name()} refused the key in {self.key_variable}{f' with HTTP {status}' if status else ''}; "
            "put a key there that is valid for the model, and restart"
        )

    def missing(self) -> AdapterConfigurationError:
        """Return what the owner must change when the endpoint has no such model."""
        return AdapterConfigurationError(
            f"{self._name()} answered HTTP 404; correct {self.url_variable}, or the model's name in config.yaml"
        )

    def fault(self, status: int | None) -> AdapterConfigurationError | None:
        """Return what the owner must change after this HTTP status, None if it is not the owner's fault."""
        if status in _REFUSALS:
            return self.refused(status)
        return self.missing() if status == _NOT_FOUND else None

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Tell what the owner must change from what failed on the way, by the status that the framework's error carries.

        Raises:
            AdapterConfigurationError: the endpoint refused the key, or has no such model.
        """
        try:
            yield
        except Exception as error:
            if fault := self.fault(status_of(error)):
                raise fault from error
            raise

    def _name(self) -> str:
        return self.url() or "the model endpoint"


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status that an error, or what caused it, carries as `status_code`."""
    while error is not None:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None
