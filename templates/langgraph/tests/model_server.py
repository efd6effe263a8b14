"""A model endpoint on loopback that answers by rule: the OpenAI chat completions protocol, whole or streamed.

What the last message asks for, it does: `remember WORD` calls that tool and then repeats what it said, `recite` repeats
everything that the user said in this conversation, `pause` says one word, waits for `go_on`, and says another.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

KEY = "key-of-the-owner-0123456789"
MODEL = "some-model"


class ModelServer:
    """Takes `KEY` and `MODEL`; `requests` are the bodies that came."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.pausing = threading.Event()
        self.go_on = threading.Event()
        self.hung_up = threading.Event()
        handler = type("Handler", (_Handler,), {"model": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def reset(self) -> None:
        """Forget what happened."""
        self.requests.clear()
        for event in (self.pausing, self.go_on, self.hung_up):
            event.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    model: ClassVar[ModelServer]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or body.get("model") != MODEL:
            return self._error(404, f"no model {body.get('model')} at {self.path}")
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self._error(401, "Incorrect API key provided")
        if problem := gap(body["messages"]):
            return self._error(400, problem)
        self.model.requests.append(body)
        return self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            return self._error(400, "this endpoint only streams")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for delta in deltas(body["messages"], body["tools"], self.model):
                self._event(delta, None)
            self._event({}, "tool_calls" if "tool_calls" in delta else "stop")
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.model.hung_up.set()

    def _event(self, delta: dict[str, Any], finish: str | None) -> None:
        chunk = {
            "id": f"answer-{len(self.model.requests)}",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def _error(self, status: int, message: str) -> None:
        content = json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


def deltas(
    messages: list[dict[str, Any]], tools: list[dict[str, Any]], server: ModelServer
) -> Iterator[dict[str, Any]]:
    last, said = messages[-1], [text(each) for each in messages if each["role"] == "user"]
    if last["role"] == "tool":
        yield {"role": "assistant", "content": f"The tool said: {text(last)}"}
    elif said[-1] == "recite":
        yield {"role": "assistant", "content": " / ".join(said[:-1]) or "nothing"}
    elif said[-1].startswith("pause"):
        yield {"role": "assistant", "content": "first"}
        server.pausing.set()
        while not server.go_on.wait(0.05):
            yield {"content": ""}  # notices a caller that has gone
        yield {"content": " second"}
    else:
        name, _, argument = said[-1].partition(" ")
        if name not in {tool["function"]["name"] for tool in tools}:
            yield {"role": "assistant", "content": f"no tool {name}"}
            return
        arguments = json.dumps({"text": argument} if argument else {})
        function = {"name": name, "arguments": arguments}
        yield {"role": "assistant", "content": None, "tool_calls": [{"index": 0, "id": f"call-{len(messages)}", "type": "function", "function": function}]}  # fmt: skip


def gap(messages: list[dict[str, Any]]) -> str | None:
    """What the endpoint refuses: a tool call without its answer right behind it."""
    for index, message in enumerate(messages):
        called = {call["id"] for call in message.get("tool_calls") or []}
        answered = {each.get("tool_call_id") for each in messages[index + 1 : index + 1 + len(called)]}
        if called - answered:
            return f"tool calls without an answer: {called - answered}"
    return None


def text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
