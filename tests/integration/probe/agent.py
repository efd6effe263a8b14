"""An agent of a few lines for the probe's tests: A2A 1.0 over HTTP as our runtime serves it, with faults by environment.

Runs inside the candidate container on the standard library alone.
"""

import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import model_client  # type: ignore[import-not-found]  # beside it in its image

FAULT = os.environ.get("FAULT", "")
CONTEXTS: dict[str, int] = {}


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Agent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Only the agent's own words go to the log."""

    def do_GET(self) -> None:
        if self.path == "/.well-known/agent-card.json":
            if FAULT == "never-ready":
                self.send(503, {"state": "starting"})
            else:
                self.send(200, {"name": "agent"})
        elif self.path == "/runtime" and FAULT != "no-runtime":
            self.send(200, {"version": os.environ["VERSION"], "contentSha256": os.environ["CONTENT"]})
        else:
            self.send(404, {"detail": "not here"})

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["A2A-Version"] != "1.0" or call["method"] != "SendMessage":
            self.send(
                200,
                {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": "no such method"}},
            )
            return
        message = call["params"]["message"]
        context = message.get("contextId") or f"context-{os.getpid()}"
        CONTEXTS[context] = turn = CONTEXTS.get(context, 0) + 1
        self.send(200, {"jsonrpc": "2.0", "id": call["id"], "result": self.answer(message, context, turn)})

    def answer(self, message: dict[str, Any], context: str, turn: int) -> dict[str, Any]:
        asked = message["parts"][0]["text"].rpartition(" ")[2]
        seen = Path("/configs/seen")
        if FAULT == "hangs":
            time.sleep(600)
        if FAULT == "dies" and turn == 2:
            say("dying in the second turn")
            os._exit(9)
        if FAULT == "forgets" and turn == 1:
            context = "another-" + context
        if FAULT in {"fails", "misconfigured"} and turn == 2:
            return failed(context, "ModuleNotFoundError: No module named 'lazy'")
        if FAULT == "canned" and seen.exists() and seen.read_text() == asked:
            raise RuntimeError("the same question twice")
        seen.write_text(asked)
        text = "" if FAULT == "says-nothing" else f"turn {turn}: {asked}"
        if os.environ.get("HAS_MODEL"):
            try:
                text = model_client.answer(context, message["parts"][0]["text"], turn)
            except (model_client.ModelRefusedError, OSError) as error:
                return failed(context, f"{type(error).__name__}: {error}")
        answer = {"artifactId": "a", "parts": [{"text": text}]}
        return {
            "task": {
                "id": "t",
                "contextId": context,
                "status": {"state": "TASK_STATE_COMPLETED"},
                "artifacts": [answer],
            }
        }

    def send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def failed(context: str, text: str) -> dict[str, Any]:
    words: dict[str, Any] = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": text}]}
    if FAULT == "misconfigured":
        words["metadata"] = {"molecule.failure": "configuration"}
    status = {"state": "TASK_STATE_FAILED", "message": words}
    return {"task": {"id": "t", "contextId": context, "status": status}}


if FAULT.startswith("exits-"):
    for number in range(30):
        say(f"line {number}")
    say(f"could not log in with {os.environ.get('MODEL_API_KEY')}")
    sys.exit(int(FAULT.removeprefix("exits-")))
if FAULT == "eats-memory":
    hoard = bytearray(256 << 20)
    hoard[:: 4 << 10] = b"x" * (len(hoard) >> 12)
if FAULT == "writes-outside":
    Path("/opt/state").write_text("x")
if "REACHES" in os.environ:
    for place in os.environ["REACHES"].split():
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1.5).close()
            say(f"{place}: reached")
        except OSError as error:
            say(f"{place}: {type(error).__name__}")
say(f"uid {os.getuid()}, configs {oct(Path('/configs').stat().st_mode)[-3:]}")
say(Path("/configs/config.yaml").read_text())
ThreadingHTTPServer(("", 8000), Agent).serve_forever()
