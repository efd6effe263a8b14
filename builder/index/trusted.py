"""Exchanges an identity token of a known publisher for a short-lived upload token, as indexes with trusted publishing do.

The endpoints are those of PyPI: `GET /_/oidc/audience` and `POST /_/oidc/mint-token` at the origin of the upload URL.
Neither token is ever written anywhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from builder.index.causes import cause_of
from builder.index.client import retry_after_seconds, tls_context
from builder.index.errors import IndexProblem, Malformed, Refused, Unauthorized, Unavailable

_ANSWER_SECONDS: Final = 30


async def mint_upload_token(upload_url: str, identity: str, *, ca_file: Path | None = None) -> str:
    """Return an upload token for the publisher that the OIDC identity token `identity` (a JWT) speaks of.

    Its signature is the index's to check; what can be read from it is checked here, to say what is wrong with it.

    Raises:
        Unauthorized: the identity has expired, is for another audience, or is not that of a publisher of the project.
        Refused: it is no identity token, or the index has no trusted publishing.
        Malformed, Unavailable: as their documentation says.
    """
    claims = _claims(identity)
    origin = URL(upload_url).origin()
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(ssl=tls_context(ca_file))
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        audience = await _ask(session, "GET", origin / "_/oidc/audience", "audience")
        _check_audience(claims, audience)
        return await _ask(session, "POST", origin / "_/oidc/mint-token", "token", {"token": identity})


def _claims(identity: str) -> Mapping[str, Any]:
    try:
        _, payload, _ = identity.split(".")
        claims: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = float(claims.get("exp", "inf"))
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise Refused(
            "The file oidc-token holds no OIDC identity token (a JWT). Write there what its issuer gives out."
        ) from None
    late = time.time() - expires
    if late >= 0:
        raise Unauthorized(
            f"The identity token in oidc-token, of {claims.get('iss')}, expired {late:.0f} s ago. "
            "Have its issuer write a new one there just before the publication."
        )
    return claims


def _check_audience(claims: Mapping[str, Any], wanted: str) -> None:
    given = claims.get("aud", [])
    audiences = [given] if isinstance(given, str) else given
    if wanted not in audiences:
        shown = ", ".join(map(str, audiences)) or "nobody"
        raise Unauthorized(
            f"The identity token in oidc-token is meant for {shown}, and the index asks for {wanted}. "
            f"Have its issuer make one with audience {wanted}."
        )


async def _ask(
    session: aiohttp.ClientSession, method: str, url: URL, key: str, body: Mapping[str, str] | None = None
) -> str:
    """Return what the JSON of an answer has under `key`."""
    try:
        # NOTE: no redirects: they would hand the identity to whoever they point to
        async with session.request(method, url, json=body, allow_redirects=False) as answer:
            content = _json(await answer.read())
            _check(answer, url, content)
    except IndexProblem:
        raise
    except aiohttp.ClientConnectorCertificateError as error:
        raise Refused(
            f"The certificate of {url.host} is not trusted ({error.certificate_error}). Name the CA file that signed it."
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"{url} cannot be reached: {cause_of(error)}.") from error
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(
            f"{url} answered without {key}, so it is no trusted publishing. Check the upload URL."
        )
    return value


def _check(answer: aiohttp.ClientResponse, url: URL, content: Mapping[str, Any]) -> None:
    status = answer.status
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
        raise Refused(
            f"{url} answered {status}: the index does not support trusted publishing. "
            "Put a token there instead of oidc-token, or username and password."
        )
    if (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise Unavailable(
            f"{url} answered {status}.", retry_after=retry_after_seconds(answer.headers.get("Retry-After"))
        )
    if status >= HTTPStatus.BAD_REQUEST:
        raise Unauthorized(
            f"{url} answered {status} to the identity token in oidc-token: {_errors(content)}. "
            "Register its issuer and subject at the index as a trusted publisher of this project."
        )
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise Refused(
            f"{url} answered {status} and points elsewhere. Name the final address as the upload URL."
        )


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _errors(content: Mapping[str, Any]) -> str:
    """Return the index's own reasons as one line."""
    try:
        told = [f"{error['code']}: {error['description']}" for error in content["errors"]]
    except (KeyError, TypeError):
        told = []
    return "; ".join(" ".join(each.split()).rstrip(".") for each in told) or "it gave no reason"
