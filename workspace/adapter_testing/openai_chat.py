"""OpenAI's Chat Completions for `ModelServer`, whole or streamed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from typing import Any

from adapter_testing.model import KEY, MODEL, Asked, Call, ModelServer

USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class OpenAIChat(ModelServer):
    """See the module; for templates that speak to OpenAI-compatible endpoints."""

    variables = ("OPENAI_BASE_URL", "OPENAI_API_KEY")

    @property
    def url(self) -> str:
        """See `ModelServer`."""
        return f"{super().url}/v1"

    def problem(self, path: str, headers: Message, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """See `ModelServer`."""
        if path != "/v1/chat/completions" or body.get("model") != MODEL:
            return 404, f"no model {body.get('model')} at {path}"
        if headers["Authorization"] != f"Bearer {KEY}":
            return 401, f"Incorrect API key provided: {headers['Authorization']}"
        gap = _gap(body["messages"])
        return (400, gap) if gap else None

    def read(self, body: Mapping[str, Any]) -> Asked:
        """See `ModelServer`."""
        messages = body["messages"]
        return Asked(
            said=[self.heard(_text(each)) for each in messages if each["role"] == "user"],
            answers=[_text(each) for each in messages if each["role"] == "tool"],
            waiting=messages[-1]["role"] == "tool",
            tools=[tool["function"]["name"] for tool in body.get("tools") or []],
            stream=bool(body.get("stream")),
        )

    def heard(self, text: str) -> str:
        """Return what the user said in a message; a framework that wraps it overrides this."""
        return text

    def events(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> Iterator[bytes]:
        """See `ModelServer`."""
        finish = "stop"
        yield self._event(
            [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
        )
        for reply in replies:
            if isinstance(reply, Call):
                finish = "tool_calls"
            yield self._event([{"index": 0, "delta": self._delta(reply), "finish_reason": None}])
        yield self._event([{"index": 0, "delta": {}, "finish_reason": finish}])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield self._event([], usage=USAGE)
        yield b"data: [DONE]\n\n"

    def whole(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> dict[str, Any]:
        """See `ModelServer`."""
        del body
        said = list(replies)
        calls = [self._called(each) for each in said if isinstance(each, Call)]
        text = "".join(each for each in said if isinstance(each, str))
        message = {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": USAGE}

    def error(self, status: int, message: str) -> dict[str, Any]:
        """See `ModelServer`."""
        return {"error": {"message": message, "type": "error", "code": str(status)}}

    def _delta(self, reply: str | Call) -> dict[str, Any]:
        if isinstance(reply, str):
            return {"content": reply}
        return {"tool_calls": [{"index": 0, **self._called(reply)}]}

    def _called(self, call: Call) -> dict[str, Any]:
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        return {"id": f"call-{len(self.requests)}", "type": "function", "function": function}

    def _event(self, choices: Sequence[Mapping[str, Any]], **more: object) -> bytes:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n".encode()

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"answer-{len(self.requests)}", "object": kind, "created": 0, "model": MODEL}


def _gap(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the endpoint refuses: a tool call without its answer right behind it."""
    for index, message in enumerate(messages):
        called = {call["id"] for call in message.get("tool_calls") or []}
        answered = {each.get("tool_call_id") for each in messages[index + 1 : index + 1 + len(called)]}
        if called - answered:
            return f"tool calls without an answer: {called - answered}"
    return ""


def _text(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
