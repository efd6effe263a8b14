"""Translates what an API server answers, and what the way to it does, into the engine's own taxonomy, in one place."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from controller.model.errors import NotFound, Problem, Terminal, Transient

_SERVER_SIDE: Final = 500
_RETRYABLE: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_OWNED_FIELD: Final = "FieldManagerConflict"
_MANAGER: Final = re.compile(r'conflict with "(?P<name>[^"]+)"')
_CONNECTION: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)


class Conflict(Transient):
    """The server answered 409: the object is not the one that was read, or is there already."""


class FieldsOwned(Transient):
    """A server-side apply met fields that others own; `managers` are their names, each once."""

    def __init__(self, cause: str, managers: tuple[str, ...]) -> None:
        super().__init__(cause)
        self.managers = managers


class Expired(Transient):
    """The server no longer knows the resource version: list anew."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise Transient for every failure on the way to the server; `doing` completes "Could not …"."""
    try:
        yield
    except _CONNECTION as error:
        raise Transient(f"Could not {doing}: the API server did not answer: {_because(error)}") from error


def _because(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "it took too long"
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__


def refused(doing: str, status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    """Return our error for an answer of 400 and more.

    404 is NotFound and the only absence. 408, 409, 410, 429 and 5xx are Transient: they say nothing about whether the
    thing exists. Everything else is refused for good, by the schema, a policy, a quota or missing rights.
    """
    answer = _status_object(body)
    text = " ".join(str(answer.get("message") or HTTPStatus(status).phrase).split()).rstrip(".")
    told = f"Could not {doing}: {text}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(told)
    if status == HTTPStatus.CONFLICT or _is_another_object(answer):
        managers = _owners(answer)
        return FieldsOwned(told, managers) if managers else Conflict(told)
    if status == HTTPStatus.GONE:
        return Expired(told)
    if status in _RETRYABLE or status >= _SERVER_SIDE:
        return Transient(f"{told} ({status})", retry_after=_retry_after(headers))
    return _final(told, status, text)


def _final(told: str, status: int, text: str) -> Terminal:
    if status == HTTPStatus.UNAUTHORIZED:
        return Terminal(
            "ClusterUnauthorized",
            f"{told}.",
            fix="Renew the credentials of the kubeconfig or service account.",
        )
    if denied := denial(text):
        return Terminal(denied[0], f"{told}.", fix=denied[1])
    if status == HTTPStatus.FORBIDDEN:
        return Terminal(
            "ClusterForbidden", f"{told}.", fix="Give the service account the right that the message names."
        )
    return Terminal("ClusterRefused", f"{told}.", fix="Change what the message names.")


def denial(text: str) -> tuple[str, str] | None:
    """Return reason and cure where a server's words tell of a quota or a policy; None for any others."""
    if "exceeded quota" in text:
        return "QuotaExceeded", "Raise the quota of the namespace, or free some of it."
    if "admission webhook" in text or "violates PodSecurity" in text or "ValidatingAdmissionPolicy" in text:
        return "AdmissionDenied", "Change what the policy names, or the policy."
    return None


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace")[:300]}
    return answer if isinstance(answer, dict) else {}


def _is_another_object(answer: Mapping[str, Any]) -> bool:
    """Whether an apply named the `uid` of another object of that name, which the server words as an invalid field."""
    causes = (answer.get("details") or {}).get("causes") or ()
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def _owners(answer: Mapping[str, Any]) -> tuple[str, ...]:
    causes = (answer.get("details") or {}).get("causes") or ()
    texts = [str(cause.get("message")) for cause in causes if cause.get("reason") == _OWNED_FIELD]
    found = [_MANAGER.search(text) for text in texts]
    return tuple(dict.fromkeys(each["name"] for each in found if each))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    given = headers.get("Retry-After", "")
    return float(given) if given.isdigit() else None
