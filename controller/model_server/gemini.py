"""Google's Gemini: `POST /v1beta/models/{model}:generateContent` and its kin, as the Gemini API serves it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.model_server.conversation import (
    Call,
    Choice,
    Json,
    Malformed,
    Message,
    Reply,
    Request,
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

_STATUSES: Final = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}
_KEY_REFUSED: Final = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


class GenerateContent(Protocol):
    """See the module."""

    def read(self, body: Json, *, model: str = "") -> Request:
        """See `Protocol`. Whether it is to be a stream is said by the path, not by the body."""
        contents = as_objects(body.get("contents"), "contents")
        if not contents:
            raise Malformed("contents is not specified")
        parts = [
            (str(each.get("role") or "user"), part)
            for each in contents
            for part in as_objects(each.get("parts"), "contents[].parts")
        ]
        system = _member(body, "systemInstruction")
        spoken = as_text((system or {}).get("parts")) if isinstance(system, Mapping) else as_text(system)
        return Request(
            model=model,
            messages=[
                *([Message("system", spoken)] if spoken else []),
                *(message for role, part in parts if (message := _message(role, part))),
            ],
            calls=[
                Call(
                    as_name(call.get("name"), "a functionCall's name"),
                    as_object(call.get("args") or {}, "its args"),
                )
                for _, part in parts
                if isinstance(call := _member(part, "functionCall"), Mapping)
            ],
            tools=[
                _tool(declared)
                for tool in as_objects(body.get("tools"), "tools")
                for declared in as_objects(_member(tool, "functionDeclarations"), "functionDeclarations")
            ],
            choice=_choice(body),
            schema=_schema(body),
        )

    def whole(self, request: Request, reply: Reply) -> Json:
        """See `Protocol`."""
        return self._response(request, [_part(reply)], usage=_usage(request, reply))

    def stream(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """See `Protocol`. Every event is a response of its own; the last one has the finish and the usage."""
        words = pieces(reply.text) if isinstance(reply, Text) else []
        parts: list[Json] = [{"text": piece} for piece in words] or [_part(reply)]
        for part in parts[:-1]:
            yield event(self._response(request, [part]))
        yield event(self._response(request, parts[-1:], usage=_usage(request, reply)))

    def error(self, status: int, message: str) -> Json:
        """See `Protocol`."""
        return {"error": {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}}

    def wrong_key(self, message: str) -> tuple[int, Json]:
        """See `Protocol`. This vendor calls it a bad request, and says in the details what is bad."""
        error = {"code": 400, "message": message, "status": _STATUSES[400], "details": [_KEY_REFUSED]}
        return 400, {"error": error}

    def _response(self, request: Request, parts: list[Json], *, usage: Json | None = None) -> Json:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        document: dict[str, Any] = {"candidates": [candidate], "modelVersion": request.model}
        if usage is not None:
            candidate["finishReason"] = "STOP"
            document |= {"usageMetadata": usage, "responseId": secrets.token_hex(12)}
        return document


def count_tokens(request: Request) -> Json:
    """Return the answer of `:countTokens`."""
    return {"totalTokens": sum(tokens(message.text) for message in request.messages)}


def _member(holder: Json, name: str) -> Any:  # noqa: ANN401 -- any JSON value
    """Return a member by its name in camelCase or in snake_case: the JSON form of protocol buffers takes both."""
    if name in holder:
        return holder[name]
    return holder.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _message(role: str, part: Json) -> Message | None:
    if isinstance(result := _member(part, "functionResponse"), Mapping):
        return Message("tool", as_text(result.get("response")))
    if isinstance(text := part.get("text"), str):
        return Message("assistant" if role == "model" else "user", text)
    return None


def _tool(declared: Json) -> Tool:
    schema = _member(declared, "parametersJsonSchema") or declared.get("parameters") or {}
    return Tool(
        as_name(declared.get("name"), "a function's name"),
        str(declared.get("description") or ""),
        as_object(schema, "a function's parameters"),
    )


def _choice(body: Json) -> Choice:
    config = as_object(_member(body, "toolConfig") or {}, "toolConfig")
    calling = as_object(_member(config, "functionCallingConfig") or {}, "functionCallingConfig")
    mode = str(calling.get("mode") or "AUTO").upper()
    names = _member(calling, "allowedFunctionNames") or []
    return Choice(
        allowed=mode != "NONE",
        required=mode == "ANY",
        name=names[0] if mode == "ANY" and len(names) == 1 else None,
    )


def _schema(body: Json) -> Json | None:
    config = as_object(_member(body, "generationConfig") or {}, "generationConfig")
    if _member(config, "responseMimeType") != "application/json":
        return None
    schema = _member(config, "responseJsonSchema") or _member(config, "responseSchema") or {}
    return as_object(schema, "generationConfig.responseSchema")


def _part(reply: Reply) -> dict[str, Any]:
    if isinstance(reply, Text):
        return {"text": reply.text}
    return {"functionCall": {"id": reply.id, "name": reply.name, "args": dict(reply.arguments)}}


def _usage(request: Request, reply: Reply) -> Json:
    before = count_tokens(request)["totalTokens"]
    after = tokens(reply.text if isinstance(reply, Text) else json.dumps(reply.arguments))
    return {"promptTokenCount": before, "candidatesTokenCount": after, "totalTokenCount": before + after}
