"""Anthropic's Messages: `POST /v1/messages`, and the count of tokens that its agents ask for beside it."""

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

_ERROR_TYPES: Final = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}


class Messages(Protocol):
    """See the module."""

    def read(self, body: Json, *, model: str = "") -> Request:
        """See `Protocol`. Tools that the vendor runs itself have no schema, and are passed over."""
        messages = as_objects(body.get("messages"), "messages")
        if not messages:
            raise Malformed("messages: at least one message is required")
        blocks = [
            (str(each.get("role")), block) for each in messages for block in _blocks(each.get("content"))
        ]
        system = as_text(body.get("system"))
        return Request(
            model=model or as_name(body.get("model"), "model"),
            messages=[
                *([Message("system", system)] if system else []),
                *(message for role, block in blocks if (message := _message(role, block))),
            ],
            calls=[
                Call(
                    as_name(block.get("name"), "a tool_use's name"),
                    as_object(block.get("input"), "its input"),
                )
                for _, block in blocks
                if block.get("type") == "tool_use"
            ],
            tools=[_tool(tool) for tool in as_objects(body.get("tools"), "tools") if "input_schema" in tool],
            choice=_choice(body.get("tool_choice")),
            schema=_schema(body),
            stream=bool(body.get("stream")),
        )

    def whole(self, request: Request, reply: Reply) -> Json:
        """See `Protocol`."""
        message = _message_head(request)
        message["content"] = [_block(reply)]
        message["stop_reason"] = _stop_reason(reply)
        message["usage"]["output_tokens"] = _tokens_of(reply)
        return message

    def stream(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """See `Protocol`."""
        block = _block(reply)
        yield _event("message_start", message=_message_head(request))
        empty: Json = {"text": ""} if isinstance(reply, Text) else {"input": {}}
        yield _event("content_block_start", index=0, content_block={**block, **empty})
        yield _event("ping")
        if isinstance(reply, Text):
            deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in pieces(reply.text)]
        else:
            parts = pieces(json.dumps(reply.arguments))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in parts]
        for delta in deltas:
            yield _event("content_block_delta", index=0, delta=delta)
        yield _event("content_block_stop", index=0)
        ending = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
        yield _event("message_delta", delta=ending, usage={"output_tokens": _tokens_of(reply)})
        yield _event("message_stop")

    def error(self, status: int, message: str) -> Json:
        """See `Protocol`."""
        kind = _ERROR_TYPES.get(status, "api_error")
        identity = f"req_{secrets.token_hex(12)}"
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": identity}


def count_tokens(request: Request) -> Json:
    """Return the answer of `POST /v1/messages/count_tokens`."""
    return {"input_tokens": sum(tokens(message.text) for message in request.messages)}


def _blocks(content: object) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else as_objects(content, "content")


def _message(role: str, block: Json) -> Message | None:
    match block.get("type"):
        case "tool_result":
            return Message("tool", as_text(block.get("content")))
        case "text":
            return Message("assistant" if role == "assistant" else "user", as_text(block.get("text")))
        case _:
            return None


def _tool(tool: Json) -> Tool:
    return Tool(
        as_name(tool.get("name"), "a tool's name"),
        str(tool.get("description") or ""),
        as_object(tool.get("input_schema"), "a tool's input_schema"),
    )


def _choice(choice: object) -> Choice:
    if not isinstance(choice, Mapping):
        return Choice()
    kind, name = choice.get("type"), choice.get("name")
    return Choice(
        allowed=kind != "none",
        required=kind in {"any", "tool"},
        name=name if kind == "tool" and isinstance(name, str) else None,
    )


def _schema(body: Json) -> Json | None:
    """Return the schema of a structured answer; its place moved from `output_format` into `output_config`."""
    configured = as_object(body.get("output_config") or {}, "output_config").get("format")
    wanted = as_object(configured or body.get("output_format") or {}, "output_config.format")
    if wanted.get("type") != "json_schema":
        return None
    return as_object(wanted.get("schema") or {}, "output_config.format.schema")


def _message_head(request: Request) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**count_tokens(request), "output_tokens": 1},
    }


def _block(reply: Reply) -> dict[str, Any]:
    if isinstance(reply, Text):
        return {"type": "text", "text": reply.text}
    return {
        "type": "tool_use",
        "id": reply.id.replace("call_", "toolu_"),
        "name": reply.name,
        "input": dict(reply.arguments),
    }


def _stop_reason(reply: Reply) -> str:
    return "end_turn" if isinstance(reply, Text) else "tool_use"


def _tokens_of(reply: Reply) -> int:
    return tokens(reply.text if isinstance(reply, Text) else json.dumps(reply.arguments))


def _event(kind: str, **data: object) -> bytes:
    return event({"type": kind, **data}, name=kind)
