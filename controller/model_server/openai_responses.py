"""OpenAI's Responses: `POST /v1/responses`, whose conversation may be kept by the server and named by an id."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from controller.model_server.conversation import (
    Call,
    Json,
    Malformed,
    Message,
    Reply,
    Request,
    Text,
    as_name,
    as_object,
    as_objects,
    as_text,
    pieces,
    tokens,
)
from controller.model_server.openai_chat import ROLES, choice_of, openai_error, tool_of
from controller.model_server.protocol import Protocol, event

_CALLS = {"function_call"}
_RESULTS = {"function_call_output"}


class Responses(Protocol):
    """See the module."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Json]] = {}
        """The items of each conversation, by the id of the response that ended it."""
        self._asked: list[Json] = []

    def read(self, body: Json, *, model: str = "") -> Request:
        """See `Protocol`. Items of a kind that carries no words, such as reasoning, are passed over."""
        given = body.get("input")
        items: list[Json] = [{"role": "user", "content": given}]
        if not isinstance(given, str):
            items = as_objects(given, "input")
        if previous := body.get("previous_response_id"):
            if previous not in self._kept:
                raise Malformed(f"Previous response with id {previous!r} not found")
            items = [*self._kept[previous], *items]
        self._asked = items
        spoken = (
            [Message("system", instructions)] if (instructions := as_text(body.get("instructions"))) else []
        )
        return Request(
            model=model or as_name(body.get("model"), "model"),
            messages=[*spoken, *(message for item in items if (message := _message(item)))],
            calls=[
                Call(
                    as_name(item.get("name"), "a call's name"),
                    as_object(item.get("arguments"), "its arguments"),
                )
                for item in items
                if item.get("type") in _CALLS
            ],
            tools=[
                tool_of(tool)
                for tool in as_objects(body.get("tools"), "tools")
                if tool.get("type") == "function"
            ],
            choice=choice_of(body.get("tool_choice")),
            schema=_schema(body),
            stream=bool(body.get("stream")),
        )

    def whole(self, request: Request, reply: Reply) -> Json:
        """See `Protocol`."""
        identity = f"resp_{secrets.token_hex(12)}"
        item = _item(reply)
        self._kept[identity] = [*self._asked, item]
        return _response(request, identity, output=[item], usage=_usage(request, reply))

    def stream(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """See `Protocol`. Every event carries its number, as the protocol asks."""
        done = self.whole(request, reply)
        begun = {**done, "status": "in_progress", "output": [], "usage": None}
        item = done["output"][0]
        for number, (kind, data) in enumerate(_events(begun, item, done)):
            yield event({"type": kind, "sequence_number": number, **data}, name=kind)

    def error(self, status: int, message: str) -> Json:
        """See `Protocol`."""
        return openai_error(status, message)


def _events(begun: Json, item: Json, done: Json) -> Iterator[tuple[str, Json]]:
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    at = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "message":
        part = item["content"][0]
        yield (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        )
        at |= {"content_index": 0}
        yield "response.content_part.added", {**at, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**at, "text": part["text"], "logprobs": []}
        yield "response.content_part.done", {**at, "part": part}
    else:
        yield (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress", "arguments": ""}},
        )
        for piece in pieces(item["arguments"]):
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        yield (
            "response.function_call_arguments.done",
            {**at, "name": item["name"], "arguments": item["arguments"]},
        )
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": done}


def _message(item: Json) -> Message | None:
    if item.get("type") in _RESULTS:
        return Message("tool", as_text(item.get("output")))
    if "role" in item:
        return Message(ROLES.get(str(item["role"]), "user"), as_text(item.get("content")))
    return None


def _item(reply: Reply) -> dict[str, Any]:
    if isinstance(reply, Text):
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        identity = f"msg_{secrets.token_hex(12)}"
        return {
            "type": "message",
            "id": identity,
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
    return {
        "type": "function_call",
        "id": f"fc_{secrets.token_hex(12)}",
        "call_id": reply.id,
        "name": reply.name,
        "arguments": json.dumps(reply.arguments),
        "status": "completed",
    }


def _schema(body: Json) -> Json | None:
    wanted = as_object(body.get("text") or {}, "text").get("format")
    wanted = as_object(wanted or {}, "text.format")
    if wanted.get("type") not in {"json_schema", "json_object"}:
        return None
    return as_object(wanted.get("schema") or {}, "text.format.schema")


def _response(request: Request, identity: str, *, output: list[Json], usage: Json) -> dict[str, Any]:
    return {
        "id": identity,
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": request.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def _usage(request: Request, reply: Reply) -> Json:
    before = sum(tokens(message.text) for message in request.messages)
    after = tokens(reply.text if isinstance(reply, Text) else json.dumps(reply.arguments))
    return {
        "input_tokens": before,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": after,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": before + after,
    }
