"""Serves the agent card, `/runtime` and A2A turns over HTTP, and ends in order on SIGTERM.

On bare sockets, because importing `http.server` takes as long as all the rest of the start.
"""

import itertools
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import control
import identity
from work import Work

PORT = 8000
Adapter = Callable[[str], str]
Answer = tuple[str, dict[str, Any]]


def serve(adapter: Adapter) -> None:
    """Serve until SIGTERM."""
    runtime = Runtime(adapter)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=runtime.stop).start())
    control.listen(runtime.work, runtime.report)
    server = socket.create_server(("", PORT), backlog=64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_answer, args=(connection, runtime), daemon=True).start()


class Runtime:
    """What one process knows and does."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._turns = itertools.count(1)
        self._identity = {
            "package": identity.PACKAGE,
            "version": identity.version(),
            "contentSha256": identity.content_sha256(),
            "commit": None,
            "adapter": {"module": os.environ["ADAPTER_MODULE"], "name": "small", "contentSha256": None},
            "startedAt": datetime.now(UTC).isoformat(),
        }
        self.work = Work()

    def report(self) -> str:
        """Return what `/runtime` answers."""
        return json.dumps({**self._identity, **self.work.facts()})

    def stop(self) -> None:
        """Take no more work, finish what is under way, and go."""
        self.work.drain(3600)
        self.work.until_idle()
        os._exit(0)

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Return status line and document for one request."""
        match method, path:
            case "GET", "/.well-known/agent-card.json":
                return "200 OK", {"name": "small", "description": "a small workspace"}
            case "GET", "/runtime":
                return "200 OK", json.loads(self.report())
            case "POST", "/":
                return self._turn(json.loads(body))
        return "404 Not Found", {"detail": "not here"}

    def _turn(self, call: dict[str, Any]) -> Answer:
        task = self.work.begin()
        if task is None:
            return "503 Service Unavailable", {"detail": "draining"}
        try:
            return "200 OK", {"jsonrpc": "2.0", "id": call["id"], "result": {"task": self._task(call)}}
        finally:
            self.work.end(task)

    def _task(self, call: dict[str, Any]) -> dict[str, Any]:
        message = call["params"]["message"]
        text = "".join(part["text"] for part in message["parts"])
        task = {"id": uuid.uuid4().hex, "contextId": message.get("contextId") or uuid.uuid4().hex}
        try:
            said = self._adapter(_worked(text))
        except Exception as error:  # noqa: BLE001 - whatever the adapter raises fails the turn
            words = {"role": "ROLE_AGENT", "parts": [{"text": f"{type(error).__name__}: {error}"}]}
            return {**task, "status": {"state": "TASK_STATE_FAILED", "message": words}}
        artifact = {"artifactId": f"a{next(self._turns)}", "parts": [{"text": said}]}
        return {**task, "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [artifact]}


def _worked(text: str) -> str:
    """`work until FILE: text` is work until there is such a file."""
    words, colon, rest = text.partition(": ")
    if not colon or not words.startswith("work until "):
        return text
    while not Path(words.removeprefix("work until ")).exists():
        time.sleep(0.05)
    return rest


def _answer(connection: socket.socket, runtime: Runtime) -> None:
    with connection:
        request = b""
        while b"\r\n\r\n" not in request and (chunk := connection.recv(65536)):
            request += chunk
        head, _, body = request.partition(b"\r\n\r\n")
        first, *headers = head.decode("latin-1").split("\r\n")
        if first.count(" ") != 2:
            return
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in headers)}
        while len(body) < int(fields.get("content-length", 0)):
            body += connection.recv(65536)
        method, path, _ = first.split(" ")
        status, document = runtime.answer(method, path, body)
        content = json.dumps(document).encode()
        lines = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(content)}")
        extra = ("Retry-After: 1",) if status.startswith("503") else ()
        connection.sendall("\r\n".join((*lines, *extra, "Connection: close", "", "")).encode() + content)
