"""Answers a registry's challenges: basic authentication, or bearer tokens fetched, kept and renewed per scope."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from builder.oci.credentials import Credential, Credentials
from builder.oci.errors import RateLimited, Unauthorized, Unavailable
from builder.oci.patience import retry_after_seconds

ASSUMED_LIFETIME_SECONDS: Final = 60
"""What the token specification tells clients to assume when `expires_in` is absent."""
RENEWAL_MARGIN_SECONDS: Final = 10
CLIENT_ID: Final = "workspace-runtime-builder"

_PARAMETER = re.compile(r'([A-Za-z_]+)="([^"]*)"')
_REFUSALS: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST}

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
    """Authorization headers for the registries of one client (token specification of the distribution project).

    Credentials are asked for once per host, and again when they are refused: they may have been renewed meanwhile.
    """

    def __init__(self, session: aiohttp.ClientSession, credentials: Credentials, *, insecure: bool) -> None:
        self._session = session
        self._insecure = insecure
        self._credentials = credentials
        self._challenges: dict[str, _Challenge] = {}
        self._tokens: dict[tuple[str, Scopes], _Token] = {}
        self._known: dict[str, Credential | None] = {}
        self._turns: dict[object, asyncio.Lock] = {}

    async def headers(self, host: str, scopes: Scopes) -> dict[str, str]:
        """Return what to send along, from what earlier challenges of this host taught; empty at first."""
        challenge = self._challenges.get(host)
        if challenge is None:
            return {}
        if challenge.scheme == "basic":
            return {"Authorization": await self._basic(host)}
        async with self._turns.setdefault((host, scopes), asyncio.Lock()):
            token = self._tokens.get((host, scopes))
            if token is None or token.expires < time.monotonic():
                token = self._tokens[host, scopes] = await self._fetch(host, challenge, scopes)
        return {"Authorization": f"Bearer {token.value}"}

    def learn(self, host: str, scopes: Scopes, challenges: Iterable[str], *, refused: str = "") -> bool:
        """Remember what a 401 asked for; False when it asks for nothing known.

        `refused` is the authorization that it answered: a token or credential is forgotten only if it is still that one.
        """
        for text in challenges:
            scheme = text.partition(" ")[0].lower()
            if scheme in {"basic", "bearer"}:
                self._challenges[host] = _Challenge(scheme, dict(_PARAMETER.findall(text)))
                token, credential = self._tokens.get((host, scopes)), self._known.get(host)
                if token and refused == f"Bearer {token.value}":
                    del self._tokens[host, scopes]
                if credential and refused == _basic(credential):
                    del self._known[host]
                return True
        return False

    async def _credential(self, host: str) -> Credential | None:
        async with self._turns.setdefault(host, asyncio.Lock()):
            if host not in self._known:
                self._known[host] = await self._credentials.for_host(host)
            return self._known[host]

    async def _basic(self, host: str) -> str:
        credential = await self._credential(host)
        if credential is None or not credential.username:
            self._known.pop(host, None)
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
        service = {"service": challenge.parameters["service"]} if "service" in challenge.parameters else {}
        remembered = host in self._known
        credential = await self._credential(host)
        try:
            return await self._ask(host, realm, service, scopes, credential)
        except Unauthorized:
            self._known.pop(host, None)
            renewed = await self._credential(host) if remembered else credential
            if renewed == credential:
                raise
            return await self._ask(host, realm, service, scopes, renewed)

    async def _ask(
        self, host: str, realm: str, service: dict[str, str], scopes: Scopes, credential: Credential | None
    ) -> _Token:
        try:
            async with self._token_request(realm, service, scopes, credential) as response:
                if response.status in _REFUSALS:
                    who = f"the credentials for {host}" if credential else "an anonymous request"
                    raise Unauthorized(
                        f"{realm} refused {who} for {' '.join(scopes)} with {response.status}. Run docker login {host}."
                    )
                if response.status != HTTPStatus.OK:
                    limited = response.status == HTTPStatus.TOO_MANY_REQUESTS
                    raise (RateLimited if limited else Unavailable)(
                        f"The token server {realm} of {host} answered {response.status}.",
                        retry_after=retry_after_seconds(response),
                    )
                return _token(await response.json(content_type=None), realm)
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError) as error:
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
