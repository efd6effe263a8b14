"""A proxy before the real engine that answers chosen requests with an error instead of passing them on."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_ANSWER = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b'Content-Length: 26\r\nConnection: close\r\n\r\n{"message":"out of order"}'
)


@dataclass
class Fault:
    """Requests whose `METHOD /path` matches `pattern` fail, `times` times; `met` counts them."""

    pattern: str
    times: int = 1_000
    met: int = 0


@dataclass
class FaultyEngine:
    """`endpoint` is the engine with the faults that are in force now; with `loss` it closes every new connection."""

    endpoint: str
    faults: list[Fault] = field(default_factory=list)
    loss: bool = False
    seen: list[str] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)

    def lose(self) -> None:
        """Let the engine be gone, for those too who listen to it now."""
        self.loss = True
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def hits(self, request: str) -> bool:
        """Whether this request is to fail."""
        self.seen.append(request)
        for fault in self.faults:
            if fault.met < fault.times and re.search(fault.pattern, request):
                fault.met += 1
                return True
        return False


@contextmanager
def faulty_engine(engine: str, folder: Path) -> Iterator[FaultyEngine]:
    """The engine at unix socket `engine` behind a proxy at a socket in `folder`."""
    path = folder / "engine.sock"
    proxy = FaultyEngine(f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(32)
        threading.Thread(
            target=_accept, args=(listener, proxy, engine.removeprefix("unix://")), daemon=True
        ).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, proxy: FaultyEngine, engine: str) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, proxy, engine), daemon=True).start()


def _serve(connection: socket.socket, proxy: FaultyEngine, engine: str) -> None:
    proxy.open.add(connection)
    try:
        _pass_on(connection, proxy, engine)
    finally:
        proxy.open.discard(connection)


def _pass_on(connection: socket.socket, proxy: FaultyEngine, engine: str) -> None:
    """Pass one request on and its answer back; one per connection, so that every request is seen."""
    with connection, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = connection.recv(65536)
            if not chunk:
                return
            head += chunk
        line, _, rest = head.partition(b"\r\n")
        if proxy.loss:
            return
        if proxy.hits(line.decode().rpartition(" ")[0]):
            connection.sendall(_ANSWER)
            return
        with socket.socket(socket.AF_UNIX) as onward:
            onward.connect(engine)
            rest = re.sub(rb"(?i)connection: [^\r]*\r\n", b"", rest)
            onward.sendall(line + b"\r\nConnection: close\r\n" + rest)
            threading.Thread(target=_pump, args=(connection, onward), daemon=True).start()
            _pump(onward, connection)
        # Closing is not enough while the other thread still reads: the caller would never see the end.
        connection.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
