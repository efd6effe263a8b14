"""Stand before the A2A server: refuse what is too big or not JSON, and new work while none is taken.

The SDK answers every error with HTTP 200, and a stream with 200 before its first event, so that a refusal
with 503 and `Retry-After` must come before it. This is also where a message begins to count as work, and where
the workspace's state is told: whoever replaces it waits for that, and for nothing that must be loaded first.
"""

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from lifecycle import Lifecycle, Refusal
from policies.addresses import Reach, reach_of_caller
from status import StatusBoard
from task_ledger import Ticket

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CARD_PATH = "/.well-known/agent-card.json"
STATUS_PATH = "/runtime"
MCP_PATH = "/mcp"
WORK_METHODS = frozenset({"SendMessage", "SendStreamingMessage", "message/send", "message/stream"})
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
VERSION_NOT_SUPPORTED = -32009
VERSION_NAME = "A2A-Version"
VERSION_HEADER = VERSION_NAME.lower().encode()
VERSIONS = ("0.3", "1.0")
# Implementation-defined server errors; A2A itself uses -32001 to -32009.
REFUSAL_CODES = {"DRAINING": -32050, "STARTING": -32051, "OVERLOADED": -32052}
ERROR_DOMAIN = "runtime.molecule.ai"
A2A_DOMAIN = "a2a-protocol.org"

# The ticket under which a message was admitted. The SDK runs the turn in the context of the request that
# sent the message, also when it runs it later or in the background.
ADMITTED: ContextVar[Ticket | None] = ContextVar("admitted", default=None)

# Base URL under which the caller reached us: the card must not name a host that only this container knows.
BASE_URL: ContextVar[str] = ContextVar("base_url")

# How far inside the network the caller is: a webhook may lead no further.
CALLER_REACH: ContextVar[Reach] = ContextVar("caller_reach", default=Reach.PUBLIC)

logger = logging.getLogger(__name__)


class Admission:
    """ASGI middleware around the A2A application."""

    def __init__(
        self, app: App, mcp: App, lifecycle: Lifecycle, board: StatusBoard, *, max_body_bytes: int
    ) -> None:
        """`app` speaks A2A and `mcp` MCP; neither is called while it may not be."""
        self._app = app
        self._mcp = mcp
        self._lifecycle = lifecycle
        self._board = board
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        BASE_URL.set(_base_url(scope))
        CALLER_REACH.set(reach_of_caller((scope.get("client") or (None,))[0], scope["headers"]))
        if scope["path"] == "/" and scope["method"] == "POST":
            await self._rpc(scope, receive, send)
        elif scope["path"] == STATUS_PATH and scope["method"] == "GET":
            await _answer(send, 200, self._board.document(), caching=False)
        elif scope["path"] == MCP_PATH:
            await self._mcp(scope, receive, send)
        elif scope["path"] == CARD_PATH and self._lifecycle.state() == "starting":
            # The card means: ready to take work.
            refusal = Refusal("STARTING", "This workspace is starting", 1)
            await _answer(send, 503, {"error": str(refusal)}, retry_after=refusal.retry_after_seconds)
        else:
            await self._app(scope, receive, send)

    async def _rpc(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._body(scope, receive)
        if body is None:
            text = f"The request is larger than {self._max_body_bytes} bytes; send less or raise a2a.max_body_bytes"
            await _answer(send, 413, _error(None, INVALID_REQUEST, text))
            return
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            await _answer(send, 200, _error(None, PARSE_ERROR, f"The request is not JSON: {error}"))
            return
        scope, version = _with_version(scope)
        if version and _major_minor(version) not in VERSIONS:
            text = f"A2A version {version!r} is not supported; this agent speaks {' and '.join(VERSIONS)}"
            document = _error(
                _id_of(request),
                VERSION_NOT_SUPPORTED,
                text,
                reason="VERSION_NOT_SUPPORTED",
                domain=A2A_DOMAIN,
            )
            await _answer(send, 200, document)
            return
        method = request.get("method") if isinstance(request, dict) else None
        if not isinstance(method, str) or method not in WORK_METHODS:
            await self._app(scope, _replay(body, receive), send)
            return
        try:
            ticket = self._lifecycle.admit()
        except Refusal as refusal:
            document = _error(
                _id_of(request), REFUSAL_CODES[refusal.reason], str(refusal), reason=refusal.reason
            )
            await _answer(send, 503, document, retry_after=refusal.retry_after_seconds)
            return
        token = ADMITTED.set(ticket)
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            ADMITTED.reset(token)
            # Not claimed: the SDK refused the message, and no turn will close the ticket.
            if ticket.claim():
                ticket.close(counts=False)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the body; None when it is too big."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body_bytes:
                return None
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read to the application, and then whatever else the connection says."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


async def _answer(
    send: Send, status: int, document: object, *, retry_after: int | None = None, caching: bool = True
) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    if not caching:
        headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_version(scope: Scope) -> tuple[Scope, str]:
    """Return the protocol version that is asked for, empty for none, and the request with it in its header.

    A client may name it in the query instead (A2A 1.0, section 3.6.1), where the SDK does not look.
    """
    named = next((value for name, value in scope["headers"] if name == VERSION_HEADER), b"").strip()
    if named:
        return scope, named.decode("latin-1")
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(VERSION_NAME, [""])[0]
    if not asked:
        return scope, ""
    headers = [header for header in scope["headers"] if header[0] != VERSION_HEADER]
    return {**scope, "headers": [*headers, (VERSION_HEADER, asked.encode("latin-1"))]}, asked


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _error(
    request_id: object, code: int, text: str, *, reason: str | None = None, domain: str = ERROR_DOMAIN
) -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": text}
    if reason is not None:
        error["data"] = [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain}
        ]
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _id_of(request: object) -> str | int | None:
    value = request.get("id") if isinstance(request, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _base_url(scope: Scope) -> str:
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        address, port = scope.get("server") or ("localhost", 80)
        host = f"{address}:{port}"
    return f"{scope['scheme']}://{host}"
