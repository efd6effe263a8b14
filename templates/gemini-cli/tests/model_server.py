"""A model endpoint on loopback that answers by rule: the Gemini API's `streamGenerateContent`.

What the last message asks for, it does: `remember WORD` lets the shell tool say that word and then repeats what it said,
`recite` repeats everything that the user said in this conversation, `pause` says one word, waits for `go_on`, and says
another, `run COMMAND` calls the shell tool with it, `heed …` says how long it is, `speak N` says N lines at once.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import shake_256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

KEY = "key-of-the-owner-0123456789"
MODEL = "some-model"
SHELL = "run_shell_command"


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
        return f"http://127.0.0.1:{self._server.server_address[1]}"

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
        if self.path != f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse":
            return self._error(404, f"no {self.path}")
        if self.headers["x-goog-api-key"] != KEY:
            return self._error(self.refusal, "API key not valid. Please pass a valid API key.")
        if problem := gap(body["contents"]):
            return self._error(400, problem)
        self.model.requests.append(body)
        return self._answer(body)

    @property
    def refusal(self) -> int:
        """The real endpoint refuses a wrong key with 400 and a withdrawn one with 401."""
        return 401 if "withdrawn" in self.headers["x-goog-api-key"] else 400

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for part in parts(body["contents"], self.model):
                self._event({"content": {"role": "model", "parts": [part]}, "index": 0})
            self._event({"content": {"role": "model", "parts": []}, "index": 0, "finishReason": "STOP"})
        except (BrokenPipeError, ConnectionResetError):
            self.model.hung_up.set()

    def _event(self, candidate: dict[str, Any]) -> None:
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        chunk = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}
        self.wfile.write(f"data: {json.dumps(chunk)}\r\n\r\n".encode())
        self.wfile.flush()

    def _error(self, status: int, message: str) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        error = {"code": status, "message": message, "details": details if "key" in message else []}
        content = json.dumps({"error": error}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


def parts(contents: list[dict[str, Any]], server: ModelServer) -> Iterator[dict[str, Any]]:
    last, said = contents[-1]["parts"][-1], said_by_user(contents)
    if "functionResponse" in last:
        yield {"text": f"The tool said: {json.dumps(last['functionResponse']['response'])}"}
    elif said[-1] == "recite":
        yield {"text": " / ".join(said[:-1]) or "nothing"}
    elif said[-1].startswith("pause"):
        yield {"text": "first"}
        server.pausing.set()
        while not server.go_on.wait(0.05):
            yield {"text": ""}  # notices a caller that has gone
        yield {"text": " second"}
    elif said[-1].startswith("heed"):
        yield {"text": f"{len(said[-1])} characters"}
    elif said[-1].startswith("speak"):
        yield {"text": lines(int(said[-1].split()[1]))}
    else:
        verb, _, argument = said[-1].partition(" ")
        command = argument if verb == "run" else f"echo {argument}"
        yield {"functionCall": {"name": SHELL, "args": {"command": command}}}


def lines(count: int) -> str:
    """As many lines of a thousand characters, without what the CLI takes for a loop."""
    return "".join(f"{shake_256(str(number).encode()).hexdigest(500)}\n" for number in range(count))


def said_by_user(contents: list[dict[str, Any]]) -> list[str]:
    """What the user said, without what the CLI tells of its surroundings."""
    texts = [
        part["text"]
        for each in contents
        if each["role"] == "user"
        for part in each["parts"]
        if "text" in part
    ]
    return [text.strip() for text in texts if not text.startswith("<session_context>")]


def gap(contents: list[dict[str, Any]]) -> str | None:
    """What the endpoint refuses: other answers of tools than there were calls, right behind them."""
    for index, content in enumerate(contents):
        called = [part for part in content["parts"] if "functionCall" in part]
        following = contents[index + 1]["parts"] if index + 1 < len(contents) else []
        answered = [part for part in following if "functionResponse" in part]
        if len(called) != len(answered):
            return f"{len(called)} calls and {len(answered)} answers"
    return None
