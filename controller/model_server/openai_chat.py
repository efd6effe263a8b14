"""OpenAI's Chat Completions: `POST /v1/chat/completions`, which most frameworks and compatible servers speak."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.model_server.conversation import (
    Call,
    Choice,
    Json,
    Message,
    Reply,
    Request,
    Role,
    Text,
    Tool,
    as_name,
    as_object,
    as_objects,
    as_text,
    pieces,
    tokens,
)
from controller.model_server.protocol import Protocol, event

ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_ERROR_TYPES: Final = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", None),
}


class ChatCompletions(Protocol):
    """See the module."""

    def __init__(self) -> None:
        self._with_usage = False

    def read(self, body: Json, *, model: str = "") -> Request:
        """See `Protocol`."""
        messages = as_objects(body.get("messages"), "messages")
        calls = [call for message in messages for call in as_objects(message.get("tool_calls"), "tool_calls")]
        options = body.get("stream_options")
        self._with_usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
        return Request(
            model=model or as_name(body.get("model"), "model"),
            messages=[
                Message(ROLES.get(str(each.get("role")), "user"), as_text(each.get("content")))
                for each in messages
            ],
            calls=[_call(as_object(call.get("function"), "tool_calls[].function")) for call in calls],
            tools=[
                tool_of(as_object(tool.get("function"), "tools[].function"))
                for tool in as_objects(body.get("tools"), "tools")
                if tool.get("type") == "function"
            ],
            choice=choice_of(body.get("tool_choice")),
            schema=_schema(body.get("response_format")),
            stream=bool(body.get("stream")),
        )

    def whole(self, request: Request, reply: Reply) -> Json:
        """See `Protocol`."""
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if isinstance(reply, Text):
            message["content"] = reply.text
        else:
            message["tool_calls"] = [_written(reply, json.dumps(reply.arguments))]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
        return {**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(request, reply)}

    def stream(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """See `Protocol`."""
        head = _head(request, "chat.completion.chunk")

        def chunk(delta: Json, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return event({**head, "choices": [choice]} | ({"usage": None} if self._with_usage else {}))

        yield chunk({"role": "assistant", "content": "" if isinstance(reply, Text) else None})
        if isinstance(reply, Text):
            yield from (chunk({"content": piece}) for piece in pieces(reply.text))
        else:
            yield chunk({"tool_calls": [{"index": 0, **_written(reply, "")}]})
            for piece in pieces(json.dumps(reply.arguments)):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, _finish(reply))
        if self._with_usage:
            yield event({**head, "choices": [], "usage": _usage(request, reply)})
        yield event("[DONE]")

    def error(self, status: int, message: str) -> Json:
        """See `Protocol`."""
        return openai_error(status, message)


def openai_error(status: int, message: str) -> Json:
    """Return an error in the form that all of OpenAI's interfaces share."""
    kind, code = _ERROR_TYPES.get(status, ("invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def tool_of(function: Json) -> Tool:
    """Return the tool that a function of OpenAI's interfaces describes."""
    return Tool(
        as_name(function.get("name"), "a function's name"),
        str(function.get("description") or ""),
        as_object(function.get("parameters") or {}, "a function's parameters"),
    )


def choice_of(choice: object) -> Choice:
    """Return what `tool_choice` leaves open: `auto`, `none`, `required`, or one function by name."""
    if isinstance(choice, Mapping):
        named = choice.get("function")
        name = named.get("name") if isinstance(named, Mapping) else choice.get("name")
        return Choice(required=True, name=name if isinstance(name, str) else None)
    return Choice(allowed=choice != "none", required=choice == "required")


def _call(function: Json) -> Call:
    return Call(
        as_name(function.get("name"), "a call's name"), as_object(function.get("arguments"), "its arguments")
    )


def _schema(wanted: object) -> Json | None:
    if not isinstance(wanted, Mapping) or wanted.get("type") not in {"json_schema", "json_object"}:
        return None
    described = wanted.get("json_schema")
    return as_object((described or {}).get("schema") or {}, "response_format.json_schema.schema")


def _written(call: Call, arguments: str) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _finish(reply: Reply) -> str:
    return "stop" if isinstance(reply, Text) else "tool_calls"


def _head(request: Request, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
    }


def _usage(request: Request, reply: Reply) -> Json:
    before = sum(tokens(message.text) for message in request.messages)
    after = tokens(reply.text if isinstance(reply, Text) else json.dumps(reply.arguments))
    return {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after}
