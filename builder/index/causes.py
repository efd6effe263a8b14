"""Why a connection failed, in words for people: the words of HTTP libraries quote their own objects."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator

import aiohttp


def cause_of(error: BaseException) -> str:
    """Return why no answer came, without a final period, to follow "cannot be reached: "."""
    found = (_words(each) for each in _chain(error))
    return next((words for words in found if words), f"the connection failed ({type(error).__name__})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: BaseException) -> str | None:
    match error:
        case TimeoutError():
            return "it does not answer in time"
        case aiohttp.ClientConnectorDNSError():
            return f"nobody knows a host named {error.host}"
        case aiohttp.ClientSSLError():
            return "it does not speak TLS as it must"
        case aiohttp.ServerDisconnectedError() | http.client.RemoteDisconnected():
            return "it closed the connection without an answer"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
    return None
