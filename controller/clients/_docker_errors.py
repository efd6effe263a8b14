"""Translates what the Docker SDK and the connection under it raise into the engine's own taxonomy, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException

from controller.clients.pull_errors import one_line
from controller.model.errors import NotFound, Terminal, Transient

_SERVER_SIDE = 500
_RETRYABLE = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_CONNECTION = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


class Conflict(Transient):
    """The engine answered 409: what was asked does not fit what is now, a taken name or a stopped container say."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise our own errors for those of the SDK; `doing` completes "Could not …".

    404 is NotFound and the only absence. 408, 409, 429, 5xx and every failure of the connection are Transient:
    they say nothing about whether the thing exists. Everything else that the engine refuses is Terminal.
    """
    try:
        yield
    except requests.exceptions.HTTPError as error:
        raise _answered(doing, error) from error
    except DockerException as error:
        # The SDK wraps a failed version negotiation, that is a dead connection, in its bare base class.
        raise Transient(f"Could not {doing}: {_because(error)}") from error
    except _CONNECTION as error:
        raise Transient(f"Could not {doing}: the engine did not answer: {_because(error)}") from error


def _because(error: BaseException) -> str:
    """Return what the system said, where it did: the libraries above it quote its error as code."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return one_line(str(error))


def _answered(doing: str, error: requests.exceptions.HTTPError) -> NotFound | Transient | Terminal:
    status = 0 if error.response is None else error.response.status_code
    text = one_line(_explanation(error))
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"Could not {doing}: {text}")
    if status == HTTPStatus.CONFLICT:
        return Conflict(f"Could not {doing}: {text}")
    if status in _RETRYABLE or status >= _SERVER_SIDE or not status:
        return Transient(f"Could not {doing}: the engine answered {status}: {text}")
    return Terminal(
        "EngineRefused",
        f"Could not {doing}: the engine answered {status}: {text}.",
        fix="Change what the message names, on the container or on its host.",
    )


def _explanation(error: requests.exceptions.HTTPError) -> str:
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation)
    try:
        return str(error.response.json()["message"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return str(error)
