#!/usr/local/bin/python3 -IS
"""A workspace runtime in small: reports, drains and ends as the real one promises, and misbehaves on request.

It stands in where tests are about containers and not about the runtime, because it boots in a few milliseconds.
FAULT: exit · silent (never listens) · refuse (reports another version) · stubborn (ignores SIGTERM) · starting ·
deaf (does not hear the signal to drain) · unsignalled (knows none).
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "/run/runtime"
SOCKET = f"{FOLDER}/control.sock"
ENV, FAULT = os.environ, os.environ.get("FAULT", "")
DRAINED = {"until": 0.0}
BUSY = {"until": 0.0, "since": 0.0}


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report() -> str:
    now = time.monotonic()
    state = "starting" if FAULT == "starting" else "draining" if now < DRAINED["until"] else "serving"
    busy = now < BUSY["until"]
    return json.dumps(
        {
            "package": "stand-in",
            "version": "9.9.9" if FAULT == "refuse" else ENV["RUNTIME_VERSION"],
            "contentSha256": ENV["RUNTIME_CONTENT"],
            "commit": None,
            "adapter": None,
            "state": state,
            "activeTasks": int(busy),
            "queuedTasks": 0,
            "oldestTaskSeconds": round(now - BUSY["since"], 3) if busy else 0,
            "startedAt": None,
            "drainSignal": None if FAULT == "unsignalled" else "SIGURG",
        }
    )


def control(line: str) -> str:
    word, _, seconds = line.partition(" ")
    now = time.monotonic()
    if word == "drain":
        DRAINED["until"] = now + float(seconds)
    elif word == "resume":
        DRAINED["until"] = 0.0
    elif word == "busy":
        BUSY.update(until=now + float(seconds), since=now)
    return report()


def listen(server: socket.socket, answer: "Callable[[socket.socket], None]") -> None:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            try:
                answer(connection)
            except OSError:
                continue


def answer_http(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request and (chunk := connection.recv(4096)):
        request += chunk
    path = request.split(b" ")[1] if request.count(b" ") else b""
    status, body = ("200 OK", report()) if path == b"/runtime" else ("404 Not Found", "")
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall((head + body).encode())


def answer_control(connection: socket.socket) -> None:
    connection.sendall(control(connection.makefile().readline().strip()).encode())


def serve() -> None:
    say(f"secret is {ENV.get('API_TOKEN')}")
    if FAULT == "exit":
        say("a module is missing")
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if FAULT == "stubborn" else lambda *_: os._exit(0))
    if FAULT not in {"deaf", "unsignalled"}:
        signal.signal(signal.SIGURG, lambda *_: DRAINED.update(until=time.monotonic() + 900))
    if FAULT == "silent":
        while True:
            signal.pause()
    with contextlib.suppress(FileExistsError):
        os.mkdir(FOLDER)  # noqa: PTH102 -- importing pathlib would double the time to start
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)  # noqa: PTH108 -- same reason
    own = socket.socket(socket.AF_UNIX)
    own.bind(SOCKET)
    own.listen(8)
    threading.Thread(target=listen, args=(own, answer_control), daemon=True).start()
    listen(socket.create_server(("", 8000), backlog=32), answer_http)


def ask(words: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        connection.sendall((" ".join(word for word in words if word != "--timeout") + "\n").encode())
        sys.stdout.write(connection.makefile().read())


if __name__ == "__main__":
    ask(sys.argv[2:]) if sys.argv[1:2] == ["ctl"] else serve()
