"""Asks the CI system that this runs in for an identity token (OIDC) that a package index takes for a trusted publisher.

Such a token lives for minutes and a release takes longer to prove: it is asked for when an upload is due, not before.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from builder.index import cause_of
from controller.model.errors import Terminal, Transient
from controller.variables import IdentityIssuer

_ANSWER_SECONDS: Final = 30


async def identity_token(issuer: IdentityIssuer, upload_url: str, *, ca_file: Path | None = None) -> str:
    """Return a token of `issuer` for whatever audience the index behind `upload_url` asks for.

    The index says it at `/_/oidc/audience`; the issuer is asked as GitHub documents it
    (https://docs.github.com/actions/reference/security/oidc).

    Raises:
        Terminal: CredentialsMissing; the index knows no trusted publishing, or the issuer refuses.
        Transient: one of them cannot be reached, limits us or fails.
    """
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        place = URL(upload_url).origin() / "_/oidc/audience"
        trusted = ssl.create_default_context(cafile=ca_file)
        audience = await _ask(session, place, "audience", _no_trusted_publishing, ssl=trusted)
        place = URL(issuer.url).update_query(audience=audience)
        headers = {"Authorization": f"Bearer {issuer.token}"}
        return await _ask(session, place, "value", _no_identity, headers=headers)


async def _ask(
    session: aiohttp.ClientSession,
    place: URL,
    key: str,
    refused: Callable[[str], Terminal],
    **how: Any,  # noqa: ANN401 -- passed through
) -> str:
    """Return the text under `key` of a JSON answer; any other answer is refused, unless a later one may be better."""
    shown = str(place.with_query(None))
    try:
        # NOTE: no redirects: they would hand the bearer token to whoever they point to
        async with session.get(place, allow_redirects=False, **how) as answer:
            status, document = answer.status, _json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Transient(f"{shown} cannot be reached: {cause_of(error)}.") from error
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED
    if failed or status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Transient(f"{shown} answered {status}.")
    value = document.get(key) if isinstance(document, dict) else None
    if status == HTTPStatus.OK and isinstance(value, str) and value:
        return value
    raise refused(f"{shown} answered {status}" + (f" without {key}" if status == HTTPStatus.OK else ""))


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _no_trusted_publishing(seen: str) -> Terminal:
    return Terminal(
        "CredentialsMissing",
        f"There are no credentials for uploads, and the index knows no trusted publishing: {seen}. The candidates are kept.",
        fix="Name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN.",
    )


def _no_identity(seen: str) -> Terminal:
    return Terminal(
        "CredentialsMissing",
        f"There are no credentials for uploads, and no identity to publish with: {seen}. The candidates are kept.",
        fix="Give the job the right `id-token: write`; or name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN.",
    )
