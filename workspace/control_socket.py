"""Serve the control socket from a thread of its own, so that it answers while the event loop is blocked.

It needs no token: whoever can exec in this container or shares its user may stop the process anyway.
"""

import contextlib
import logging
import os
import socket
import threading
from pathlib import Path

from ctl import VARIABLE, socket_paths
from lifecycle import DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS, Lifecycle
from status import StatusBoard

MAX_REQUEST_BYTES = 256
REQUEST_TIMEOUT_SECONDS = 5.0

logger = logging.getLogger(__name__)


class ControlSocket:
    """Listens on the first of `socket_paths()` that can be created."""

    def __init__(self, lifecycle: Lifecycle, board: StatusBoard) -> None:
        self._lifecycle = lifecycle
        self._board = board
        self._path: Path | None = None

    def open(self) -> None:
        """Start listening. A place that cannot be used is logged; the workspace serves all the same."""
        failures = []
        for path in map(Path, socket_paths()):
            try:
                listener = _listen(path)
            except OSError as error:
                failures.append(f"{path}: {error}")
                continue
            self._path = path
            threading.Thread(target=self._serve, args=(listener,), name="control", daemon=True).start()
            logger.info("Listening for control requests on %s", path)
            return
        logger.warning(
            "Serving without a control socket, so nobody can drain this workspace by exec (%s); "
            "make one of these folders writable or set %s",
            "; ".join(failures),
            VARIABLE,
        )

    def close(self) -> None:
        """Take the socket's name away."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                logger.exception("Ending the control socket: it accepts nothing any more")
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(REQUEST_TIMEOUT_SECONDS)
                request = connection.makefile("rb").readline(MAX_REQUEST_BYTES)
                connection.sendall(f"{self.answer(request.decode(errors='replace'))}\n".encode())

    def answer(self, request: str) -> str:
        """Do what one request line asks and return the answer line."""
        match request.split():
            case ["status"]:
                pass
            case ["resume"]:
                self._lifecycle.resume()
            case ["drain"]:
                self._lifecycle.drain(DEFAULT_DRAIN_SECONDS)
            case ["drain", seconds] if seconds.isdecimal() and 0 < int(seconds) <= MAX_DRAIN_SECONDS:
                self._lifecycle.drain(int(seconds))
            case ["drain", seconds]:
                return f"error a drain lasts from 1 to {MAX_DRAIN_SECONDS} seconds, not {seconds}"
            case _:
                return "error unknown request; say status, drain SECONDS or resume"
        return f"ok {self._board.line()}"


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid not in {0, os.getuid()}:
        raise PermissionError(f"{path.parent} belongs to another user")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket():
            _remove_stale(path)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone; a killed one leaves its name behind."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(f"another process listens on {path}")
