"""A proxy in front of a real server that can be cut, as when the server is away, or fall silent, and that notes what was asked."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_REQUEST = re.compile(rb"(?:^|\r\n)((?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+) HTTP/1\.[01]\r\n")


class Proxy:
    """Passes bytes on. `asked` are the request lines so far, as `POST /path`."""

    def __init__(self, listen: Callable[[], socket.socket], dial: Callable[[], socket.socket]) -> None:
        self.asked: list[str] = []
        self._listen, self._dial = listen, dial
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._server: socket.socket | None = None
        self.restore()

    def cut(self) -> None:
        """End every connection and take no new one."""
        with self._lock:
            server, self._server = self._server, None
            ends, self._open = self._open, set()
        if server is not None:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def restore(self) -> None:
        """Take connections again, at the same address."""
        self._server = self._listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def fall_silent(self) -> None:
        """Pass nothing more on over the connections that are open, and tell nobody: what was on its way is lost."""
        with self._lock:
            self._silent |= self._open

    def cut_for(self, seconds: float) -> None:
        """Be away for so long."""
        self.cut()
        time.sleep(seconds)
        self.restore()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            try:
                far = self._dial()
            except OSError:
                near.close()
                continue
            with self._lock:
                if self._server is not server:
                    near.close()
                    far.close()
                    return
                self._open |= {near, far}
            threading.Thread(target=self._pass_on, args=(near, far, self._note), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near, lambda _: None), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, note: Callable[[bytes], None]) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if source in self._silent:
                    continue
                note(chunk)
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)

    def _note(self, chunk: bytes) -> None:
        self.asked += [match.decode("latin-1") for match in _REQUEST.findall(chunk)]


@contextmanager
def before_unix(target: Path, own: Path) -> Iterator[Proxy]:
    """A proxy at the Unix socket `own` before the one at `target`."""

    def listen() -> socket.socket:
        own.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(own))
        server.listen(64)
        return server

    def dial() -> socket.socket:
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(target))
        return far

    proxy = Proxy(listen, dial)
    try:
        yield proxy
    finally:
        proxy.cut()


@contextmanager
def before_tcp(target: tuple[str, int], own: tuple[str, int]) -> Iterator[Proxy]:
    """A proxy at address and port `own` before those of `target`."""
    proxy = Proxy(lambda: socket.create_server(own, backlog=64), lambda: socket.create_connection(target, 5))
    try:
        yield proxy
    finally:
        proxy.cut()
