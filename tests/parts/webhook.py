"""An admission webhook that a cluster asks over TLS, and that denies whatever it is asked about."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster
from tests.parts.certificate import make_certificate

NAME = "fridays.example.test"


class _Denying(BaseHTTPRequestHandler):
    words = ""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        denied = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": self.words}}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": denied})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def denying(cluster: Cluster, folder: Path, words: str) -> Iterator[dict[str, Any]]:
    """Serve one in the cluster's network for as long as the block runs; what its configuration says of how it is reached."""
    certificate = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    with cluster.entered():
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Denying", (_Denying,), {"words": words}))
    # A server thread must not wait for a handshake of somebody else.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    authority = base64.b64encode(certificate.file.read_bytes()).decode()
    try:
        yield {"url": f"https://127.0.0.1:{server.server_port}/", "caBundle": authority}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
