"""Anthropic's Messages for `ModelServer`, as Claude Code asks for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from typing import Any

from molecule_runtime.adapter_testing.model import KEY, MODEL, Asked, Call, ModelServer

SHELL = "Bash"


class AnthropicMessages(ModelServer):
    """See the module; `remember` is done by a command."""

    variables = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")

    def call(self, verb: str, argument: str) -> Call:
        if verb in {"remember", "run"}:
            command = argument if verb == "run" else f"echo {argument}"
            return Call(SHELL, {"command": command, "description": "What the user asked for"})
        return Call(f"mcp__molecule__{verb}", {"text": argument} if argument else {})

    def problem(self, path: str, headers: Message, body: Mapping[str, Any]) -> tuple[int, str] | None:
        if path.partition("?")[0] != "/v1/messages" or body.get("model") != MODEL:
            return 404, f"no model {body.get('model')} at {path}"
        if headers["x-api-key"] != KEY:
            return 401, "invalid x-api-key"
        gap = _gap(body["messages"])
        return (400, gap) if gap else None

    def read(self, body: Mapping[str, Any]) -> Asked:
        blocks = [(each["role"], block) for each in body["messages"] for block in _blocks(each)]
        results = [block for role, block in blocks if role == "user" and block["type"] == "tool_result"]
        last = [block["type"] for block in _blocks(body["messages"][-1])]
        return Asked(
            said=[
                block["text"]
                for role, block in blocks
                if role == "user"
                and block["type"] == "text"
                and not block["text"].startswith("<system-reminder>")
            ],
            answers=[_said(block["content"]) for block in results],
            waiting="tool_result" in last,
            tools=[tool["name"] for tool in body.get("tools") or []],
            stream=bool(body.get("stream")),
        )

    def events(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> Iterator[bytes]:
        del body
        yield _event("message_start", message=self._message([]))
        index, stop = -1, "end_turn"
        open_text = False
        for reply in replies:
            if isinstance(reply, Call):
                index, stop = index + 1, "tool_use"
                yield _event(
                    "content_block_start", index=index, content_block={**self._used(reply), "input": {}}
                )
                delta = {"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}
                yield _event("content_block_delta", index=index, delta=delta)
                yield _event("content_block_stop", index=index)
                continue
            if not open_text:
                index, open_text = index + 1, True
                yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            if reply:
                yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": reply})
            else:
                yield _event("ping")
        if open_text:
            yield _event("content_block_stop", index=index)
        yield _event(
            "message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 1}
        )
        yield _event("message_stop")

    def whole(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> dict[str, Any]:
        del body
        content = [
            self._used(each) if isinstance(each, Call) else {"type": "text", "text": each} for each in replies
        ]
        return self._message(content)

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = {401: "authentication_error", 404: "not_found_error"}.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def _used(self, call: Call) -> dict[str, Any]:
        identity = f"toolu_{len(self.requests)}"
        return {"type": "tool_use", "id": identity, "name": call.name, "input": dict(call.arguments)}

    def _message(self, content: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_{len(self.requests)}",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": content,
            "stop_reason": "end_turn" if content else None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }


def _blocks(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _said(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _gap(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the endpoint refuses: a tool call without its result in the next message."""
    for index, message in enumerate(messages):
        called = {block["id"] for block in _blocks(message) if block["type"] == "tool_use"}
        following = _blocks(messages[index + 1]) if index + 1 < len(messages) else []
        if called - {block.get("tool_use_id") for block in following}:
            return f"tool_use without tool_result: {called}"
    return ""


def _event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
