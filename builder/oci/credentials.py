"""Where credentials for a registry come from: given ones, or a docker configuration with its helper programs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from builder.oci.errors import Unauthorized
from builder.oci.reference import DOCKER_HUB

HELPER_TIMEOUT_SECONDS: Final = 30
TOKEN_USER: Final = "<token>"  # noqa: S105 -- the helper protocol's word for "the secret is an identity token"

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password, or an identity token (an OAuth2 refresh token) in place of both."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Credentials(Protocol):
    """A source of credentials."""

    async def for_host(self, host: str) -> Credential | None:
        """Return what to present to a registry host, or None to stay anonymous."""


class NoCredentials:
    """Anonymous everywhere."""

    async def for_host(self, host: str) -> Credential | None:  # noqa: ARG002 -- the Protocol's signature
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class FixedCredential:
    """One credential, sent to one registry host and to no other."""

    host: str
    credential: Credential

    async def for_host(self, host: str) -> Credential | None:
        """Return the credential for its own host only."""
        return self.credential if host == self.host else None


@dataclass(frozen=True, slots=True)
class PasswordFiles:
    """The files `username` and `password`, or `token`, of a Secret's folder, for some registries and no others.

    They are read anew whenever a registry asks.
    """

    folder: Path
    hosts: Sequence[str]

    async def for_host(self, host: str) -> Credential | None:
        """Return the credential for its own hosts only; raises Unauthorized when it cannot be read."""
        return self.read() if host in self.hosts else None

    def read(self) -> Credential:
        """Return the credential; raises Unauthorized when a file is missing or cannot be read."""
        try:
            if (self.folder / "token").exists():
                return Credential("__token__", (self.folder / "token").read_text().strip())
            username, password = ((self.folder / key).read_text().strip() for key in ("username", "password"))
        except (OSError, UnicodeDecodeError) as error:
            raise Unauthorized(
                f"The credentials in {self.folder} cannot be read: {error}. Write the files username and password there."
            ) from error
        return Credential(username, password)


class DockerConfig:
    """Credentials of a docker configuration file: `auths`, `credHelpers` and `credsStore`; read anew when asked."""

    def __init__(self, path: Path, *, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is what helper programs get to see; None for all of ours."""
        self._path = path
        self._environment = environment

    async def for_host(self, host: str) -> Credential | None:
        """Return the credential for a host, asking a helper program when the file names one.

        Raises:
            Unauthorized: the file cannot be read or its helper fails; the message names both and the cure.
        """
        document = self._read()
        keys = _keys(host)
        helpers = document.get("credHelpers") or {}
        helper = next((helpers[key] for key in keys if key in helpers), document.get("credsStore"))
        if helper:
            for key in keys:
                if found := await self._ask(str(helper), key):
                    return found
        return self.stored(host)

    def stored(self, host: str) -> Credential | None:
        """Return the credential that stands in the file itself; raises Unauthorized when it cannot be read."""
        auths = self._read().get("auths") or {}
        return next((self._entry(auths[key], key) for key in _keys(host) if auths.get(key)), None)

    def _read(self) -> Mapping[str, Any]:
        try:
            document = json.loads(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise Unauthorized(
                f"The docker configuration {self._path} cannot be read: {error}. Write it with docker login."
            ) from error
        parts = ("auths", "credHelpers") if isinstance(document, dict) else ()
        if not parts or not all(isinstance(document.get(part) or {}, dict) for part in parts):
            raise Unauthorized(
                f"The docker configuration {self._path} is not one: it, auths and credHelpers must be JSON objects. "
                "Write it with docker login."
            )
        found: Mapping[str, Any] = document
        return found

    def _entry(self, entry: Mapping[str, str], key: str) -> Credential | None:
        username, password = entry.get("username", ""), entry.get("password", "")
        if packed := entry.get("auth"):
            try:
                username, _, password = base64.b64decode(packed, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise Unauthorized(
                    f"The auth entry of {key} in {self._path} is not base64 of user:password. Run docker login {key}."
                ) from error
        if token := entry.get("identitytoken"):
            return Credential(identity_token=token)
        return Credential(username, password.rstrip("\0")) if username else None

    async def _ask(self, helper: str, key: str) -> Credential | None:
        program = f"docker-credential-{helper}"
        if _HELPER.fullmatch(helper) is None:  # a path would run what is no helper
            raise Unauthorized(
                f"{self._path} names the credential helper {helper!r}, which is no name of a program. "
                "Correct credsStore/credHelpers."
            )
        try:
            child = await asyncio.create_subprocess_exec(
                program,
                "get",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
            )
        except OSError as error:
            raise Unauthorized(
                f"{self._path} names the credential helper {program}, which cannot be run: {error.strerror}. "
                "Install it or remove credsStore/credHelpers."
            ) from error
        try:
            async with asyncio.timeout(HELPER_TIMEOUT_SECONDS):
                out, err = await child.communicate(key.encode())
        except TimeoutError as error:
            child.kill()
            await child.wait()
            raise Unauthorized(
                f"The credential helper {program} did not answer for {key} in {HELPER_TIMEOUT_SECONDS} s."
            ) from error
        if child.returncode:
            said = (out + err).decode(errors="replace").strip()
            if "credentials not found" in said:
                return None
            raise Unauthorized(f"The credential helper {program} failed for {key}: {said[:200]}.")
        try:
            answer = json.loads(out)
            username, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise Unauthorized(
                f"The credential helper {program} gave no Username and Secret for {key}."
            ) from error
        return Credential(identity_token=secret) if username == TOKEN_USER else Credential(username, secret)


def _keys(host: str) -> list[str]:
    # docker login has written all of these forms over the years; Docker Hub has a name of its own
    keys = [
        host,
        f"https://{host}",
        f"https://{host}/",
        f"https://{host}/v1/",
        f"https://{host}/v2/",
        f"http://{host}",
    ]
    return ["https://index.docker.io/v1/", "index.docker.io", *keys] if host == DOCKER_HUB else keys
