"""A way from this machine to the pods of a cluster whose network is its own: one address, the pod's in the path."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.cluster.cluster import Cluster

_CONNECTION_SECONDS = 5.0
_ANSWER_SECONDS = 60.0


@contextmanager
def pod_proxy(cluster: Cluster) -> Iterator[str]:
    """Yield what to set WSR_WORKSPACE_URL to."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            _, address, port, *rest = self.path.split("/")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            try:
                with cluster.entered():
                    connection = http.client.HTTPConnection(address, int(port), timeout=_CONNECTION_SECONDS)
                    connection.connect()
                connection.sock.settimeout(_ANSWER_SECONDS)
                connection.request(self.command, "/" + "/".join(rest), body, headers)
                answer = connection.getresponse()
                status, content = answer.status, answer.read()
                connection.close()
            except (OSError, http.client.HTTPException):
                status, content = 502, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def do_PUT(self) -> None:
            self._pass_on()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{podIP}}/{{port}}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
