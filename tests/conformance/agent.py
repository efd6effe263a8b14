"""An agent as its callers see it, over A2A 1.0 and 0.3; what it says can be spoiled on the way, to try those who check it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

import httpx

CARD = "/.well-known/agent-card.json"
Document = dict[str, Any]
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What came: one document, or one for each event of a stream; for a webhook, what it was sent."""

    status: int
    headers: Mapping[str, str]
    documents: tuple[Any, ...]

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        return self.documents[0]

    @property
    def result(self) -> Any:  # noqa: ANN401 - JSON
        assert "result" in self.document, self.document
        return self.document["result"]

    @property
    def code(self) -> int:
        assert "error" in self.document, self.document
        code: int = self.document["error"]["code"]
        return code


Fault = Callable[[Answer], Answer]


@dataclass
class Webhook:
    """Receives notifications at an address of its own; answers the first `failures` of them with 500."""

    url: str
    fault: Fault
    failures: int = 0
    seen: list[Answer] = field(default_factory=list)

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        self.seen.append(Answer(0, headers, (json.loads(body),)))
        return 500 if len(self.seen) <= self.failures else 200

    def received(self, holds: Callable[[Answer], bool]) -> Answer:
        """Wait for a notification of which something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for notification in map(self.fault, list(self.seen)):
                if holds(notification):
                    return notification
            time.sleep(0.01)
        raise AssertionError(f"no such notification among {self.seen}")


class Webhooks:
    """An HTTP server with as many webhooks as are asked for."""

    def __init__(self) -> None:
        self._by_path: dict[str, Webhook] = {}
        by_path = self._by_path

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(by_path[self.path].take(headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)

    def make(self, fault: Fault, failures: int) -> Webhook:
        path = f"/{uuid4().hex}"
        webhook = Webhook(f"http://127.0.0.1:{self._server.server_port}{path}", fault, failures)
        self._by_path[path] = webhook
        return webhook

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Agent:
    """Asks an agent; `fault` spoils all that it answers and sends."""

    def __init__(
        self, url: str, http: httpx.Client, webhooks: Webhooks, fault: Fault = lambda answer: answer
    ) -> None:
        self.url = url
        self.http = http
        self.webhooks = webhooks
        self._fault = fault

    def spoiled(self, fault: Fault) -> "Agent":
        return Agent(self.url, self.http, self.webhooks, fault)

    def webhook(self, *, failures: int = 0) -> Webhook:
        return self.webhooks.make(self._fault, failures)

    def get(self, path: str, **headers: str) -> Answer:
        response = self.http.get(f"{self.url}{path}", headers=_named(headers))
        return self._fault(_answer(response))

    def card(self) -> Document:
        answer = self.get(CARD)
        assert answer.status == 200
        document: Document = answer.document
        return document

    def post(self, content: bytes, *, query: str = "", **headers: str) -> Answer:
        named = {"content-type": "application/json", **_named(headers)}
        return self._fault(_answer(self.http.post(f"{self.url}/{query}", content=content, headers=named)))

    def call(
        self,
        method: str,
        params: object = None,
        *,
        version: str | None = "1.0",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Answer:
        """Call a method, and read what is a stream to its end; `more`: members of the request that differ."""
        body = {"jsonrpc": "2.0", "id": "r1", "method": method, "params": params or {}, **more}
        asked = {"a2a-version": version} if version is not None else {}
        return self.post(json.dumps(body).encode(), query=query, **asked, **(headers or {}))

    def send(self, text: str, *, configuration: Document | None = None, **more: object) -> Answer:
        return self.call(
            "SendMessage", {"message": message(text, **more), "configuration": configuration or {}}
        )

    def task(self, text: str, *, configuration: Document | None = None, **more: object) -> Document:
        """Send a message and return the task that is made of it."""
        task: Document = self.send(text, configuration=configuration, **more).result["task"]
        return task

    def started(self, seconds: float) -> Document:
        """Return a task that goes on for so long."""
        return self.task(f"sleep {seconds}: done", configuration={"returnImmediately": True})

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that happens by itself."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    @contextmanager
    def following(self, method: str, params: object, version: str = "1.0") -> Iterator[Iterator[Document]]:
        """Read a stream event by event, as long as the block wants."""
        body = {"jsonrpc": "2.0", "id": "r1", "method": method, "params": params}
        with self.http.stream("POST", self.url, json=body, headers={"A2A-Version": version}) as response:
            yield (
                self._fault(Answer(response.status_code, response.headers, (document,))).document
                for document in map(_event, response.iter_lines())
                if document is not None
            )


def message(text: str, **more: object) -> Document:
    """A message of A2A 1.0; `more`: members that differ or come besides."""
    return {"messageId": uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}], **more}


def old_message(text: str, **more: object) -> Document:
    """A message of A2A 0.3."""
    return {
        "kind": "message",
        "messageId": uuid4().hex,
        "role": "user",
        "parts": [{"kind": "text", "text": text}],
        **more,
    }


def _answer(response: httpx.Response) -> Answer:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        events = (_event(line) for line in response.text.splitlines())
        documents = tuple(event for event in events if event is not None)
    else:
        documents = (response.json(),) if response.content else ()
    return Answer(response.status_code, response.headers, documents)


def _event(line: str) -> Document | None:
    if not line.startswith("data:"):
        return None
    document: Document = json.loads(line.removeprefix("data:"))
    return document


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
