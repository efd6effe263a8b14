"""A stand-in for the server that gives registry tokens: checks who asks for what, and signs what docker-registry verifies.

It speaks the token specification of the distribution project: GET with a password, POST with a refresh token.
"""

import base64
import binascii
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.parts.certificate import Certificate, make_certificate

ISSUER = "tests"
SERVICE = "registry"
FAR_BEYOND_LEEWAY_SECONDS = 3_600


@dataclass
class TokenServer:
    """Passwords and refresh tokens by user, what was asked for, and what it is told to do wrong."""

    certificate: Certificate
    users: dict[str, str] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    readers: frozenset[str] = frozenset()
    """Who gets only `pull`, whatever is asked for."""
    expires_in: int = 300
    expired: int = 0
    """How many of the next tokens it signs are out of date for the registry, whatever it says of them."""
    answer: tuple[int, Mapping[str, str], bytes] | None = None
    """What it says instead of anything else: status, headers, body."""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    """The scopes of each token that was given."""
    url: str = ""

    @property
    def registry_settings(self) -> dict[str, Any]:
        """What goes under `auth: token` of docker-registry."""
        return {
            "realm": f"{self.url}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(self.certificate.file),
        }

    def user_of(self, authorization: str, form: Mapping[str, list[str]]) -> str | None:
        """Who asks; None for a wrong password or token. No credential at all is nobody, who gets nothing."""
        if form.get("grant_type") == ["refresh_token"]:
            word = form.get("refresh_token", [""])[0]
            return next((user for user, token in self.refresh_tokens.items() if token == word), None)
        try:
            user, _, word = (
                base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode().partition(":")
            )
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user if user and self.users.get(user) == word else None

    def token(self, user: str, scopes: list[str]) -> str:
        """Sign a token for what a user may do of what was asked for."""
        now = int(time.time()) - (FAR_BEYOND_LEEWAY_SECONDS if self.expired else 0)
        self.expired = max(0, self.expired - 1)
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            granted = [each for each in actions.split(",") if each == "pull" or user not in self.readers]
            access.append({"type": kind, "name": name, "actions": granted})
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        header = {
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [base64.b64encode(self.certificate.der).decode()],
        }
        signed = ".".join(_packed(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.certificate.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_packed(r.to_bytes(32) + s.to_bytes(32))}"


@contextmanager
def running_token_server(folder: Path, **users: str) -> Iterator[TokenServer]:
    """Serve on loopback until the block ends; the certificate it signs with goes to `folder`."""
    server = TokenServer(make_certificate(folder), users)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._give(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = parse_qs(body)
            self._give({**form, "scope": form.get("scope", [""])[0].split()})

        def _give(self, asked: Mapping[str, list[str]]) -> None:
            if server.answer is not None:
                self._send(*server.answer)
                return
            user = server.user_of(self.headers.get("Authorization", ""), asked)
            right = urlsplit(self.path).path == "/token" and asked.get("service") == [SERVICE]
            if user is None or not right:
                self._send(401 if right else 400, {}, b'{"details": "no"}')
                return
            scopes = asked.get("scope", [])
            server.asked.append(tuple(scopes))
            key = "access_token" if self.command == "POST" else "token"
            document = {key: server.token(user, scopes), "expires_in": server.expires_in}
            self._send(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- the base class's name
            del format, arguments

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
