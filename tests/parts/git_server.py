"""Serves bare git repositories over HTTP by git's own `http-backend`, to whoever has the token.

python -m tests.parts.git_server FOLDER ADDRESS PORT
"""

import base64
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.parts.certificate import Certificate

Answer = tuple[int, dict[str, str]]
"""A status and its headers."""


@dataclass
class GitServer:
    """Where it is, which token it wants, and what the clients sent: `METHOD PATH` and their `Authorization`.

    `open` lets anybody in. `spoil` is asked of every request first: it may wait, and an answer of its own is sent instead of the true one.
    `limit` lets each body break off after so many bytes, and `protocols` is what it speaks: 2, or 0 alone.
    """

    url: str = ""
    token: str = "let-me-in"  # noqa: S105 -- of this server only
    user: str = "x-access-token"
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    spoil: Callable[[str], Answer | None] = field(default=lambda _: None)
    open: bool = False
    limit: int | None = None
    protocols: int = 2
    sent_bytes: int = 0

    def asked(self, path: str) -> int:
        """How many requests for a path there were."""
        return sum(path in request for request, _ in self.seen)

    @property
    def authorization(self) -> str:
        """What a client with the token sends."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.token}".encode()).decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        address: str = "127.0.0.1",
        port: int = 0,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__((address, port), _Handler)
        self.folder = folder
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.file, certificate.key_file)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.facts = GitServer(f"{scheme}://{address}:{self.server_port}")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        facts, given = self.server.facts, self.headers.get("Authorization")
        facts.seen.append((f"{self.command} {self.path}", given))
        spoiled = facts.spoil(self.path)
        if spoiled is not None:
            self._say(*spoiled)
            return
        if not facts.open and given != facts.authorization:
            self._say(401, {"WWW-Authenticate": 'Basic realm="git"'})
            return
        self._answer(_backend(self.server.folder, self, self._body(), protocols=facts.protocols))

    def _say(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in fields if name == "Status"), "200")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        limit = self.server.facts.limit
        self.server.facts.sent_bytes += len(body)
        self.wfile.write(body[:limit])
        self.close_connection = limit is not None and limit < len(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        pass


@contextmanager
def running_git_server(folder: Path, certificate: Certificate | None = None) -> Iterator[GitServer]:
    """Serve the repositories in `folder` on loopback until the block ends, over HTTPS with a certificate."""
    with _Server(folder, certificate=certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.facts
        finally:
            server.shutdown()
            thread.join()


def _backend(folder: Path, request: BaseHTTPRequestHandler, body: bytes, *, protocols: int) -> bytes:
    """Run one CGI request (RFC 3875)."""
    path, _, query = request.path.partition("?")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "REQUEST_METHOD": request.command,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", "") if protocols > 0 else "",
        "REMOTE_USER": "somebody",
        "REMOTE_ADDR": "127.0.0.1",
    }
    command = ["git", "http-backend"]
    return subprocess.run(command, input=body, env=environment, capture_output=True, check=True).stdout


if __name__ == "__main__":
    with _Server(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])) as own:
        own.serve_forever()
