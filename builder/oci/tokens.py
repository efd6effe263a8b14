"""Answers a registry's challenges: basic authentication, or bearer tokens fetched, kept and renewed per scope."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from builder.oci.credentials import Credential, Credentials
from builder.oci.errors import Unauthorized, Unavailable

ASSUMED_LIFETIME_SECONDS: Final = 60
"""What the token specification tells clients to assume when `expires_in` is absent."""
RENEWAL_MARGIN_SECONDS: Final = 10
CLIENT_ID: Final = "workspace-runtime-builder"

_PARAMETER = re.compile(r'([A-Za-z_]+)="([^"]*)"')

Scopes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Challenge:
    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires: float


class Tokens:
    """Authorization headers for the registries of one client (token specification of the distribution project)."""

    def __init__(self, session: aiohttp.ClientSession, credentials: Credentials, *, insecure: bool) -> None:
        self._session = session
        self._insecure = insecure
        self._credentials = credentials
        self._challenges: dict[str, _Challenge] = {}
        self._tokens: dict[tuple[str, Scopes], _Token] = {}

    async def headers(self, host: str, scopes: Scopes) -> dict[str, str]:
        """Return what to send along, from what earlier challenges of this host taught; empty at first."""
        challenge = self._challenges.get(host)
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            return {"Authorization": await self._basic(host)}
        token = self._tokens.get((host, scopes))
        if token is None or token.expires < time.monotonic():
            token = await self._fetch(host, challenge, scopes)
            self._tokens[host, scopes] = token
        return {"Authorization": f"Bearer {token.value}"}

    def learn(self, host: str, scopes: Scopes, challenges: Iterable[str]) -> bool:
        """Remember what a 401 asked for and forget the token it refused; False when it asks for nothing known."""
        for text in challenges:
            scheme = text.partition(" ")[0].lower()
            if scheme in {"basic", "bearer"}:
                self._challenges[host] = _Challenge(scheme, dict(_PARAMETER.findall(text)))
                self._tokens.pop((host, scopes), None)
                return True
        return False

    async def _basic(self, host: str) -> str:
        credential = await self._credentials.for_host(host)
        if credential is None or not credential.username:
            raise Unauthorized(
                f"The registry {host} asks for a user and password and none are known for it. "
                f"Add them to the docker configuration: docker login {host}."
            )
        return _basic(credential)

    async def _fetch(self, host: str, challenge: _Challenge, scopes: Scopes) -> _Token:
        realm = challenge.parameters.get("realm", "")
        if not self._insecure and not realm.startswith("https://"):
            raise Unauthorized(
                f"The registry {host} wants credentials sent to {realm!r}, which is not HTTPS."
            )
        credential = await self._credentials.for_host(host)
        service = {"service": challenge.parameters["service"]} if "service" in challenge.parameters else {}
        try:
            async with self._token_request(realm, service, scopes, credential) as response:
                if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST}:
                    who = f"the credentials for {host}" if credential else "an anonymous request"
                    raise Unauthorized(
                        f"{realm} refused {who} for {' '.join(scopes)} with {response.status}. Run docker login {host}."
                    )
                if response.status != HTTPStatus.OK:
                    raise Unavailable(f"The token server {realm} of {host} answered {response.status}.")
                return _token(await response.json(content_type=None), realm)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(
                f"The token server {realm!r} of {host} could not be asked: {error!r}."
            ) from error

    def _token_request(
        self, realm: str, service: dict[str, str], scopes: Scopes, credential: Credential | None
    ) -> Any:  # noqa: ANN401 -- aiohttp keeps the type of its request context private
        if credential and credential.identity_token:
            form = service | {
                "grant_type": "refresh_token",
                "refresh_token": credential.identity_token,
                "client_id": CLIENT_ID,
                "scope": " ".join(scopes),
            }
            return self._session.post(realm, data=form, allow_redirects=False)
        query = [*service.items(), *(("scope", scope) for scope in scopes)]
        headers = {"Authorization": _basic(credential)} if credential else {}
        return self._session.get(realm, params=query, headers=headers, allow_redirects=False)


def _basic(credential: Credential) -> str:
    packed = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
    return f"Basic {packed}"


def _token(document: Any, realm: str) -> _Token:  # noqa: ANN401 -- JSON of a foreign server
    value = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise Unavailable(f"The token server {realm} answered without a token.")
    lifetime = float(document.get("expires_in") or ASSUMED_LIFETIME_SECONDS)
    return _Token(value, time.monotonic() + max(lifetime - RENEWAL_MARGIN_SECONDS, lifetime / 2))
