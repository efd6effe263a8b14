"""Ask the runtime in this container for its state, or to drain: `molecule-runtime ctl`.

A controller runs this by exec in every container it replaces, so it imports nothing that is slow to import.
Protocol of the socket: one line `status`, `drain SECONDS` or `resume`; the answer is one line, `ok ` and the
status document as JSON, or `error ` and a text.
"""

import os
import sys

VARIABLE = "WORKSPACE_CONTROL_SOCKET"
SOCKET = "/run/runtime/control.sock"
TIMEOUT_SECONDS = 10.0
DONE, FAILED, WRONG_USE = 0, 1, 2
USAGE = "usage: molecule-runtime ctl status | drain [--timeout SECONDS] | resume"


def socket_paths() -> list[str]:
    """Return where the control socket may be, best first.

    The second place serves containers whose root is read-only and has no tmpfs at /run/runtime.
    """
    chosen = os.environ.get(VARIABLE)
    return [chosen] if chosen else [SOCKET, f"/tmp/molecule-runtime-{os.getuid()}/control.sock"]  # noqa: S108 - its owner and mode are checked


def main(arguments: list[str]) -> int:
    """Run one command, print the status document and return the exit code."""
    request = _request(arguments)
    if request is None:
        sys.stderr.write(f"{USAGE}\n")
        return WRONG_USE
    paths = socket_paths()
    answer = _ask(paths, request)
    if answer is None:
        sys.stderr.write(
            f"no runtime listens on {' or '.join(paths)}; look at this container's log for why it does not run, "
            f"or set {VARIABLE} to its socket\n"
        )
        return FAILED
    verdict, _, text = answer.partition(" ")
    if verdict != "ok":
        sys.stderr.write(f"the runtime refused {request!r}: {text or 'no answer'}\n")
        return FAILED
    sys.stdout.write(f"{text}\n")
    return DONE


def _request(arguments: list[str]) -> str | None:
    match arguments:
        case ["status"] | ["resume"] | ["drain"]:
            return arguments[0]
        case ["drain", "--timeout", seconds] if seconds.isascii() and seconds.isdecimal():
            return f"drain {seconds}"
        case ["drain", option] if option.startswith("--timeout="):
            return _request(["drain", "--timeout", option.removeprefix("--timeout=")])
    return None


def _ask(paths: list[str], request: str) -> str | None:
    import socket  # noqa: PLC0415 - wrong use needs no socket

    for path in paths:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            try:
                connection.connect(path)
            except OSError:
                continue
            try:
                connection.sendall(f"{request}\n".encode())
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
            except OSError as error:
                return f"error {error}"
            return answer.decode().strip()
    return None
