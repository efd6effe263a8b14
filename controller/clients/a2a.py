"""A minimal A2A client: reads the agent card, sends a message and waits for the answer, as a peer would.

The official SDK's client comes with protobuf, gRPC and httpx; the gate and the checks of adapters need one method
of the JSON-RPC binding. Wire form: A2A 1.0, JSON-RPC binding, as a2a-sdk 1.x serves it (methods `SendMessage` and
`GetTask`, header `A2A-Version`, members in camelCase, enumerations by name).
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from controller.model.errors import NotFound, Terminal, Transient

CARD_PATH: Final = "/.well-known/agent-card.json"
RUNTIME_PATH: Final = "/runtime"
_VERSION_HEADER: Final = {"A2A-Version": "1.0"}
_DONE: Final = "TASK_STATE_COMPLETED"
_RUNNING: Final = frozenset({"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"})
_POLL_SECONDS: Final = 0.25
_BODY_LIMIT_BYTES: Final = 8 << 20
_TEXT_SHOWN: Final = 500

_FAILURE_KEY: Final = "molecule.failure"
"""Where our runtime says whose fault a failed task is: `configuration`, `build` or `task`."""

Document = Mapping[str, Any]


class TurnFailed(Terminal):
    """The agent ended a turn in any other way than with an answer; `message` has its own words.

    `configuration` is true when the agent says that its configuration is at fault, and not the image.
    """

    def __init__(self, message: str, *, configuration: bool = False) -> None:
        super().__init__("TurnFailed", message[:_TEXT_SHOWN], fix="Correct what the agent complains about.")
        self.configuration = configuration


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer of one turn, and the context that a next turn continues."""

    text: str
    context_id: str


class Agent:
    """One agent at a base URL such as `http://172.17.0.5:8000`.

    Nothing here has a deadline but the connection itself: a turn may be silent for minutes, so callers set
    theirs with `asyncio.timeout`.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base = base_url.rstrip("/")

    async def card(self) -> Document:
        """Return the agent card: the agent is ready to take work.

        Raises:
            Transient: nothing listens yet, or the answer is 429 or 5xx.
            NotFound: a server answers, but has no card.
            Terminal: the answer is no JSON object, or another 4xx.
        """
        return await self._request("GET", CARD_PATH)

    async def runtime(self) -> Document:
        """Return what the workspace says of its runtime (`GET /runtime`); raises as `card` does."""
        return await self._request("GET", RUNTIME_PATH)

    async def send(self, text: str, *, context_id: str | None = None) -> Answer:
        """Send a message and wait until the agent has answered; `context_id` continues an earlier turn.

        The text of an answer is that of a message, or of a completed task's artifacts, else of its last status.

        Raises:
            Transient: the connection failed or broke, or the answer is 429 or 5xx.
            TurnFailed: with the agent's own words, when it refuses, fails, cancels, or asks back.
            NotFound, Terminal: what answers is no A2A server.
        """
        message: dict[str, Any] = {
            "messageId": uuid.uuid4().hex,
            "role": "ROLE_USER",
            "parts": [{"text": text}],
        }
        if context_id:
            message["contextId"] = context_id
        result = await self._call("SendMessage", {"message": message})
        if isinstance(said := result.get("message"), dict):
            return Answer(_text(said), str(said.get("contextId") or context_id or ""))
        task = _task(result.get("task"))
        while _state(task) in _RUNNING:
            await asyncio.sleep(_POLL_SECONDS)
            task = _task(await self._call("GetTask", {"id": task.get("id")}))
        if _state(task) != _DONE:
            raise TurnFailed(
                f"the agent ended the turn as {_state(task)}: {_status_text(task) or 'no words'}",
                configuration=_blames_configuration(task),
            )
        artifacts = "\n".join(_text(artifact) for artifact in task.get("artifacts") or [])
        return Answer(artifacts or _status_text(task), str(task.get("contextId") or ""))

    async def _call(self, method: str, params: Document) -> Document:
        call = {"jsonrpc": "2.0", "id": uuid.uuid4().hex, "method": method, "params": params}
        answer = await self._request("POST", "/", json_body=call)
        if isinstance(error := answer.get("error"), dict):
            raise TurnFailed(
                f"the agent answered {method} with error {error.get('code')}: {error.get('message')}"
            )
        result = answer.get("result")
        if not isinstance(result, dict):
            raise TurnFailed(f"the agent answered {method} with neither result nor error")
        return result

    async def _request(self, method: str, path: str, *, json_body: Document | None = None) -> Document:
        url = f"{self._base}{path}"
        try:
            async with self._session.request(
                method, url, json=json_body, headers=_VERSION_HEADER, allow_redirects=False
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{method} {url} failed: {error!r}") from error
        return _object(method, url, answer, body)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _BODY_LIMIT_BYTES:
            raise TurnFailed(f"the agent's answer has more than {_BODY_LIMIT_BYTES} bytes")
    return bytes(body)


def _object(method: str, url: str, answer: aiohttp.ClientResponse, body: bytes) -> Document:
    status = answer.status
    said = body.decode(errors="replace").strip()[:_TEXT_SHOWN]
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound(f"{method} {url} answered 404: {said}")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        after = answer.headers.get("Retry-After", "")
        raise Transient(
            f"{method} {url} answered {status}: {said}",
            retry_after=float(after) if after.isdecimal() else None,
        )
    try:
        document = json.loads(body) if status < HTTPStatus.MULTIPLE_CHOICES else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Terminal(
            "AgentRefused",
            f"{method} {url} answered {status} and no JSON object: {said}.",
            fix="Check that the image's process serves A2A at this port.",
        )
    return document


def _task(value: object) -> Document:
    if not isinstance(value, dict) or not isinstance(value.get("status"), dict):
        raise TurnFailed("the agent answered with neither a message nor a task")
    return value


def _state(task: Document) -> str:
    return str(task["status"].get("state"))


def _status_text(task: Document) -> str:
    message = task["status"].get("message")
    return _text(message) if isinstance(message, dict) else ""


def _blames_configuration(task: Document) -> bool:
    message = task["status"].get("message")
    metadata = message.get("metadata") if isinstance(message, dict) else None
    return isinstance(metadata, dict) and metadata.get(_FAILURE_KEY) == "configuration"


def _text(holder: Document) -> str:
    return "".join(_texts(holder.get("parts")))


def _texts(parts: object) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
