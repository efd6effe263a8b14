"""A way from this machine to the pods of a cluster whose network is its own: one address, the pod's in the path."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.cluster.cluster import Cluster

_SECONDS = 5.0


@contextmanager
def pod_proxy(cluster: Cluster) -> Iterator[str]:
    """Yield what to set WSR_WORKSPACE_URL to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, address, port, *rest = self.path.split("/")
            try:
                with cluster.entered():
                    connection = http.client.HTTPConnection(address, int(port), timeout=_SECONDS)
                    connection.connect()
                connection.request("GET", "/" + "/".join(rest))
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
                connection.close()
            except OSError:
                status, body = 502, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
