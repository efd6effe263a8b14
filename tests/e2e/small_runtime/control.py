"""The control socket: `status`, `drain SECONDS`, `resume`, each answered with the state of the runtime."""

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from work import Work

SOCKET = "/run/runtime/control.sock"


def listen(work: Work, report: Callable[[], str]) -> None:
    """Answer on the socket in a thread."""
    Path(SOCKET).parent.mkdir(exist_ok=True)
    Path(SOCKET).unlink(missing_ok=True)
    own = socket.socket(socket.AF_UNIX)
    own.bind(SOCKET)
    own.listen(8)

    def answer() -> None:
        while True:
            connection, _ = own.accept()
            with connection:
                word, _, seconds = connection.makefile().readline().strip().partition(" ")
                if word in {"drain", "resume"}:
                    work.drain(float(seconds or 900) if word == "drain" else 0)
                connection.sendall(report().encode())

    threading.Thread(target=answer, daemon=True).start()


def ask(words: list[str]) -> int:
    """Say the words to the runtime in this container and print its answer; return the exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(SOCKET)
        except OSError as error:
            sys.stderr.write(f"no runtime listens on {SOCKET}: {os.strerror(error.errno or 0)}\n")
            return 1
        connection.sendall((" ".join(word for word in words if word != "--timeout") + "\n").encode())
        sys.stdout.write(connection.makefile().read() + "\n")
    return 0
