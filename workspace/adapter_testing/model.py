"""A model endpoint on loopback that answers by rule; each protocol is a subclass.

What the user's last message asks for, it does: `remember WORD` has the agent call a tool that gives the word back, and then
repeats what the tool said; `recite` repeats everything that the user said in this conversation; `pause` says one word,
waits for `go_on`, and says another; any other first word is the name of a tool, and the rest is its text.
"""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

KEY = "key-of-the-owner-0123456789"
MODEL = "some-model"
TURN_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, whatever its protocol.

    Attributes:
        said: what the user said in this conversation, oldest first.
        answers: what tools said in it, oldest first.
        waiting: whether the last message is a tool's answer.
        tools: names of what the agent offers.
        stream: whether the answer is wanted piece by piece.
    """

    said: Sequence[str]
    answers: Sequence[str]
    waiting: bool
    tools: Sequence[str]
    stream: bool = True


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: Mapping[str, Any]


class ModelServer(ABC):
    """Takes `KEY` and `MODEL`. `requests` is what was asked of it, `bodies` as it came; `refuses` an HTTP status to answer with."""

    variables: ClassVar[tuple[str, str]]
    """Those in which the framework looks for its address and its key."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.bodies: list[dict[str, Any]] = []
        self.refuses: int | None = None
        self.pausing = threading.Event()
        self.go_on = threading.Event()
        self.hung_up = threading.Event()
        handler = type("Handler", (_Handler,), {"model": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def reset(self) -> None:
        """Forget what happened."""
        self.requests.clear()
        self.bodies.clear()
        self.refuses = None
        for event in (self.pausing, self.go_on, self.hung_up):
            event.clear()

    @property
    def url(self) -> str:
        """What the framework is given as address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead to it."""
        address, key = self.variables
        return {address: self.url, key: KEY}

    def call(self, verb: str, argument: str) -> Call:
        """Return the call of the tool that a message asks for."""
        return Call(verb, {"text": argument} if argument else {})

    @abstractmethod
    def problem(self, path: str, headers: Message, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return status and words for what the vendor's endpoint would refuse."""

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> Asked:
        """Translate a request."""

    @abstractmethod
    def events(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> Iterator[bytes]:
        """Translate an answer piece by piece."""

    @abstractmethod
    def whole(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> dict[str, Any]:
        """Translate an answer that is wanted in one piece."""

    @abstractmethod
    def error(self, status: int, message: str) -> dict[str, Any]:
        """Return the body of a refusal."""

    def replies(self, asked: Asked) -> Iterator[str | Call]:
        """Answer by rule."""
        last = asked.said[-1] if asked.said else ""
        verb, _, argument = last.partition(" ")
        if asked.waiting:
            yield f"The tool said: {asked.answers[-1]}"
        elif verb == "recite":
            yield " / ".join(asked.said[:-1]) or "nothing"
        elif verb == "pause":
            yield "first"
            self.pausing.set()
            while not self.go_on.wait(TURN_SECONDS):
                yield ""  # notices a caller that has gone
            yield " second"
        elif (call := self.call(verb, argument)).name in asked.tools:
            yield call
        else:
            yield f"no tool {call.name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    model: ClassVar[ModelServer]

    def do_GET(self) -> None:
        self._document(404, self.model.error(404, f"no {self.path}"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = self.model
        problem = model.problem(self.path, self.headers, body)
        if problem is None and model.refuses is not None:
            problem = model.refuses, f"{model.refuses} is what this endpoint was told to answer to {KEY}"
        if problem is not None:
            return self._document(problem[0], model.error(*problem))
        asked = model.read(body)
        model.bodies.append(body)
        model.requests.append(asked)
        if not asked.stream:
            return self._document(200, model.whole(model.replies(asked), body))
        return self._stream(model.events(model.replies(asked), body))

    def _stream(self, events: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for event in events:
                self.wfile.write(event)
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.model.hung_up.set()

    def _document(self, status: int, document: Mapping[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass
