"""Listens for candidates: each one has an address of its own, which nobody can guess and which goes with its probe."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from controller.api.conditions import Reason
from controller.model.errors import Terminal
from controller.model_server import anthropic, gemini
from controller.model_server.anthropic import Messages
from controller.model_server.conversation import Json, Malformed, as_object
from controller.model_server.embeddings import gemini_embedding, gemini_embeddings, openai_embeddings
from controller.model_server.gemini import GenerateContent
from controller.model_server.openai_chat import ChatCompletions
from controller.model_server.openai_responses import Responses
from controller.model_server.protocol import Protocol
from controller.model_server.script import Script
from controller.model_server.ticket import Ticket

MODEL: Final = "stand-in"
"""The one model that is listed; every other name is answered, too."""
_KEY_REFUSED: Final = "API key not valid. Please pass a valid API key."
_NOT_SPOKEN: Final = "The stand-in does not speak this."
_BODY_LIMIT_BYTES: Final = 64 << 20
_REFUSALS_KEPT: Final = 20
_CREATED: Final = datetime(2024, 1, 1, tzinfo=UTC)
_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Session:
    """What is kept for one probe."""

    script: Script
    keys: frozenset[str]
    chat: Protocol = field(default_factory=ChatCompletions)
    responses: Protocol = field(default_factory=Responses)
    messages: Protocol = field(default_factory=Messages)
    gemini: Protocol = field(default_factory=GenerateContent)

    def refused(self, request: web.Request, status: int, why: str) -> None:
        if len(self.script.refused) < _REFUSALS_KEPT:
            path = "/".join(request.path.split("/")[2:])
            self.script.refused.append(f"{request.method} /{path}: {status}: {why}")


class ModelServer:
    """The server; it listens from `listen` until `close`, and knows the probes that are admitted."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._runner: web.AppRunner | None = None
        self.address = ""
        """`HOST:PORT` while it listens, else empty."""

    async def listen(self, host: str, port: int = 0) -> None:
        """Listen at a port of `host`, 0 for one that is free.

        Raises:
            Terminal: GateUnreachable, when the address is none of this machine.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise Terminal(
                Reason.GATE_UNREACHABLE,
                f"The stand-in model cannot listen at {host}, where candidates would reach it: {os.strerror(error.errno or 0)}.",
                fix="Run wsr on the engine's own machine and outside a container (or in one with the host's network),"
                " or set templates[].probe.model: None, which proves no conversation with a model.",
            ) from error
        self._runner = runner
        bound_host, bound_port, *_ = runner.addresses[0]
        self.address = f"{bound_host}:{bound_port}"

    async def close(self) -> None:
        """Stop listening; connections that are still open are cut."""
        runner, self._runner, self.address = self._runner, None, ""
        if runner is not None:
            await runner.cleanup()

    @contextmanager
    def admitted(self, script: Script, environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        """Admit one probe for as long as the block lasts, and give the environment of its candidate; see `Ticket`."""
        ticket = Ticket.drawn(self.address, environment)
        with self.admitting(ticket, script):
            yield ticket.environment

    @contextmanager
    def admitting(self, ticket: Ticket, script: Script) -> Iterator[None]:
        """Admit whoever has the ticket, for as long as the block lasts."""
        self._sessions[ticket.token] = _Session(script, ticket.keys)
        try:
            yield
        finally:
            del self._sessions[ticket.token]

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=_BODY_LIMIT_BYTES)
        post, get = app.router.add_post, app.router.add_get
        post("/{token}/v1/chat/completions", self._answering(lambda session: session.chat))
        post("/{token}/v1/responses", self._answering(lambda session: session.responses))
        post("/{token}/v1/messages", self._answering(lambda session: session.messages))
        post("/{token}/v1/messages/count_tokens", self._answering(lambda session: session.messages))
        post("/{token}/v1/embeddings", self._answering(lambda session: session.chat))
        post(
            "/{token}/{api:v1\\w*}/models/{model:[^:]+}:{method}",
            self._answering(lambda session: session.gemini),
        )
        get("/{token}/{api:v1\\w*}/models", self._answering(lambda session: session.chat))
        get("/{token}/{api:v1\\w*}/models/{model}", self._answering(lambda session: session.chat))
        app.router.add_route("*", "/{path:.*}", self._unknown)
        return app

    def _answering(self, protocol_of: Callable[[_Session], Protocol]) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            session = self._sessions.get(request.match_info["token"])
            if session is None:
                return web.Response(status=HTTPStatus.NOT_FOUND)
            protocol = protocol_of(session)
            if not _keys(request) & session.keys:
                status, refusal = protocol.wrong_key(_KEY_REFUSED)
                session.script.key_refused = True
                session.refused(request, status, _KEY_REFUSED)
                return web.json_response(refusal, status=status)
            if request.method == "GET":
                return web.json_response(_models(request))
            try:
                return await _answer(request, protocol, session.script)
            except Malformed as error:
                session.refused(request, HTTPStatus.BAD_REQUEST, str(error))
                document = protocol.error(HTTPStatus.BAD_REQUEST, str(error))
                return web.json_response(document, status=HTTPStatus.BAD_REQUEST)

        return answer

    async def _unknown(self, request: web.Request) -> web.Response:
        session = self._sessions.get(request.path.split("/")[1])
        if session is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        session.refused(request, HTTPStatus.NOT_FOUND, _NOT_SPOKEN)
        document = session.chat.error(HTTPStatus.NOT_FOUND, _NOT_SPOKEN)
        return web.json_response(document, status=HTTPStatus.NOT_FOUND)


def _keys(request: web.Request) -> frozenset[str]:
    """Return the keys that came with a request, wherever a vendor's clients put theirs."""
    headers = request.headers
    bearer = headers.get("Authorization", "").removeprefix("Bearer ")
    named = (headers.get("x-api-key"), headers.get("x-goog-api-key"), request.query.get("key"))
    return frozenset(key for key in (bearer, *named) if key)


async def _answer(request: web.Request, protocol: Protocol, script: Script) -> web.StreamResponse:
    body = await _body(request)
    method = request.match_info.get("method", "")
    match method or request.path.rpartition("/")[2]:
        case "embeddings":
            return web.json_response(openai_embeddings(body))
        case "embedContent":
            return web.json_response(gemini_embedding(body))
        case "batchEmbedContents":
            return web.json_response(gemini_embeddings(body))
        case "count_tokens":
            return web.json_response(anthropic.count_tokens(protocol.read(body)))
        case "countTokens":
            counted = as_object(body.get("generateContentRequest") or body, "generateContentRequest")
            return web.json_response(gemini.count_tokens(protocol.read(counted)))
    asked = protocol.read(body, model=request.match_info.get("model", ""))
    reply = script.reply(asked)
    if method == "streamGenerateContent" and request.query.get("alt") != "sse":
        return web.json_response([_data(each) for each in protocol.stream(asked, reply)])
    if not asked.stream and method != "streamGenerateContent":
        return web.json_response(protocol.whole(asked, reply))
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await answer.prepare(request)
    for each in protocol.stream(asked, reply):
        await answer.write(each)
    await answer.write_eof()
    return answer


async def _body(request: web.Request) -> Json:
    try:
        return as_object(json.loads(await request.read()), "the body")
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from error


def _data(event: bytes) -> object:
    return json.loads(event.partition(b"data: ")[2])


def _models(request: web.Request) -> Json:
    """Return the list of models, or the one asked for, in the form of the vendor whose client asks."""
    named = request.match_info.get("model")
    identity = named or MODEL
    made: dict[str, Any]
    if "x-goog-api-key" in request.headers or "key" in request.query:
        made = {"name": f"models/{identity}", "displayName": identity, "supportedGenerationMethods": _METHODS}
        return made if named else {"models": [made]}
    if "anthropic-version" in request.headers:
        made = {"type": "model", "id": identity, "display_name": identity, "created_at": _CREATED.isoformat()}
        return made if named else {"data": [made], "has_more": False, "first_id": MODEL, "last_id": MODEL}
    made = {"id": identity, "object": "model", "created": int(_CREATED.timestamp()), "owned_by": MODEL}
    return made if named else {"object": "list", "data": [made]}
