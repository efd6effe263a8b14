"""What a registry's answers mean: which failure an answer is, in words for people."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

import aiohttp

from builder.oci.errors import (
    Corrupt,
    Disconnected,
    NotFound,
    RateLimited,
    ReadOnly,
    Refused,
    RegistryError,
    Unauthorized,
    Unavailable,
)
from builder.oci.patience import retry_after_seconds

_ERROR_LIMIT_BYTES: Final = 64 << 10
_WORDS_LIMIT: Final = 200
_HTML: Final = "text/html"
_FULL: Final = ("no space left", "enospc", "disk quota", '"err":28', "insufficient storage")
"""How registries say that their disk is full; docker-registry sends the system's bare error number."""


async def read_limited(answer: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """Return an answer's body; raises Corrupt when it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise Corrupt(f"{what} answered more than {limit} bytes where a small document was expected.")
    return bytes(body)


def refuse_page(answer: aiohttp.ClientResponse, method: str, what: str) -> None:
    """Raise Corrupt when a page for people came with success: a proxy or a login stands before the registry."""
    if answer.content_type == _HTML:
        raise Corrupt(
            f"{answer.url.authority} answered {answer.status} with an HTML page to {method} {what}. "
            "Check that the address is a registry, and not a proxy or a login page before it."
        )


async def problem(answer: aiohttp.ClientResponse, method: str, what: str) -> RegistryError:
    """Return what an answer without success means."""
    status, host = answer.status, answer.url.authority
    code, words, raw = await _said(answer)
    said = f" {code} ({words})" if code else words
    text = f"{host} answered {status}{said} to {method} {what}."
    if status == HTTPStatus.INSUFFICIENT_STORAGE or any(word in raw for word in _FULL):
        return Unavailable(
            f"{host} is full: it answered {status}{said} to {method} {what}. Free space there."
        )
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"{what} does not exist ({host} answered 404{said}).")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Unauthorized(
            f"{text} The credentials for {host} are missing, wrong or not allowed to do this."
        )
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        wrong = _NOT_ALLOWED.get(method)
        return Refused(f"{text} {wrong}") if wrong else ReadOnly(f"{text} {_READ_ONLY}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(text, retry_after=retry_after_seconds(answer))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Unavailable(text, retry_after=retry_after_seconds(answer))
    return Refused(text)


_READ_ONLY: Final = "It takes no writes: end its read-only mode, or name another registry."
_NOT_ALLOWED: Final = {
    "GET": "Check that the address is a registry.",
    "HEAD": "Check that the address is a registry.",
    "DELETE": "It does not allow deletion, or is read-only: allow it there.",
}


def broken(host: str, what: str, error: Exception, *, silence_seconds: float) -> Disconnected:
    """Return what a connection that failed in the middle of an answer means."""
    if isinstance(error, TimeoutError):
        return silent(host, what, silence_seconds=silence_seconds)
    return Disconnected(f"The connection to {host} broke at {what}: {_cause(error)}.")


def silent(host: str, what: str, *, silence_seconds: float) -> Disconnected:
    """Return what it means that nothing moved."""
    return Disconnected(f"The registry {host} was silent for {silence_seconds:g} s at {what}.")


def unreachable(host: str, what: str, error: Exception) -> Unavailable:
    """Return what a request that got no answer means."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return Unavailable(
                f"The certificate of {host} is not trusted ({error.certificate_error}). Name the CA file that signed it."
            )
        case aiohttp.ClientSSLError():
            return Unavailable(
                f"{host} does not speak TLS. If it is meant to be plain HTTP, say registry.insecure: true."
            )
        case aiohttp.ConnectionTimeoutError():
            return Disconnected(f"The registry {host} cannot be reached for {what}: it does not answer.")
        case _:
            return Disconnected(f"The registry {host} cannot be reached for {what}: {_cause(error)}.")


def _cause(error: BaseException) -> str:
    # aiohttp names the URL, and that of an upload may hold a signature
    if "://" in str(error):
        return _cause(error.__cause__) if error.__cause__ else "it was lost while sending"
    return str(error) or type(error).__name__


async def _said(answer: aiohttp.ClientResponse) -> tuple[str, str, str]:
    """Return code and message of the registry's error document, and all of it in lower case; a proxy's page is not quoted."""
    try:
        raw = (await read_limited(answer, _ERROR_LIMIT_BYTES, "an error")).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, Corrupt):
        return "", "", ""
    try:
        first = json.loads(raw)["errors"][0]
        return str(first.get("code", "")), str(first.get("message", ""))[:_WORDS_LIMIT], raw.lower()
    except (ValueError, LookupError, TypeError, AttributeError):
        page = answer.content_type == _HTML
        return "", " with an HTML page" if page else "", "" if page else raw.lower()
