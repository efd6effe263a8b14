"""Tells the stand-in model in a probe's pod what to say, and asks what it saw: over HTTP, with a word that only we know."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from controller.model.errors import Transient
from controller.model_server.beside import ADMIT_PATH, SEEN_PATH, TURN_PATH
from controller.model_server.script import Script
from controller.model_server.ticket import Ticket

_ANSWER: Final = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)
_BODY_LIMIT_BYTES: Final = 1 << 20


def new_word() -> tuple[str, str]:
    """Return a word that the stand-in will heed, and what it is told of it: the word's SHA-256."""
    word = secrets.token_urlsafe(24)
    return word, hashlib.sha256(word.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PodStandIn:
    """The stand-in beside one candidate; it is asked below `url`. `script` is what it says, None for a candidate without a model.

    Every method raises Transient when it does not answer: nothing is known of the candidate then.
    """

    session: aiohttp.ClientSession
    url: str
    word: str = field(repr=False)
    script: Script | None = None

    async def admit(self, ticket: Ticket, files: Mapping[str, bytes]) -> list[str]:
        """Have it listen for the candidate, and put `files` beside those of the ConfigMap; return the names of all of these."""
        script = None if self.script is None else {"tools": self.script.tools, "nonce": self.script.nonce}
        told = {
            "token": ticket.token,
            "keys": sorted(ticket.keys),
            "script": script,
            "files": {name: base64.b64encode(content).decode() for name, content in files.items()},
        }
        answer = await self._ask("POST", ADMIT_PATH, told)
        return [str(name) for name in answer["files"]]

    async def begin(self, turn: int) -> None:
        """See `ModelSide`."""
        await self._ask("PUT", TURN_PATH, {"turn": turn})

    async def seen(self) -> Script:
        """See `ModelSide`."""
        seen = await self._ask("GET", SEEN_PATH)
        script = self.script or Script()
        if seen:
            script.see(seen)
        return script

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self.word}"}
        url = self.url.rstrip("/") + path
        try:
            request = self.session.request(
                method, url, json=body, headers=headers, timeout=_ANSWER, allow_redirects=False
            )
            async with request as answer:
                content = await answer.content.read(_BODY_LIMIT_BYTES)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{url} did not answer ({type(error).__name__})") from error
        if status != HTTPStatus.OK:
            raise Transient(f"{url} answered {status}")
        try:
            document = json.loads(content)
        except ValueError as error:
            raise Transient(f"{url} gave no answer of a stand-in") from error
        return document if isinstance(document, dict) else {}
