"""Serves bare git repositories over HTTP by git's own `http-backend`, to whoever has the token.

python -m tests.parts.git_server FOLDER ADDRESS PORT
"""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class GitServer:
    """Where it is, which token it wants, and what the clients sent: `METHOD PATH` and their `Authorization`."""

    url: str = ""
    token: str = "let-me-in"  # noqa: S105 -- of this server only
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def authorization(self) -> str:
        """What a client with the token sends."""
        return "Basic " + base64.b64encode(f"x-access-token:{self.token}".encode()).decode()


class _Server(ThreadingHTTPServer):
    def __init__(self, folder: Path, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), _Handler)
        self.folder = folder
        self.facts = GitServer(f"http://{address}:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        facts, given = self.server.facts, self.headers.get("Authorization")
        facts.seen.append((f"{self.command} {self.path}", given))
        if given != facts.authorization:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(_backend(self.server.folder, self, self._body()))

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
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        pass


@contextmanager
def running_git_server(folder: Path) -> Iterator[GitServer]:
    """Serve the repositories in `folder` on loopback until the block ends."""
    with _Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.facts
        finally:
            server.shutdown()
            thread.join()


def _backend(folder: Path, request: BaseHTTPRequestHandler, body: bytes) -> bytes:
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
        "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "somebody",
        "REMOTE_ADDR": "127.0.0.1",
    }
    command = ["git", "http-backend"]
    return subprocess.run(command, input=body, env=environment, capture_output=True, check=True).stdout


if __name__ == "__main__":
    with _Server(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])) as own:
        own.serve_forever()
