"""A notice by a real process, to a real server over TLS; and all the ways to one that must not be reached."""

import json
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.clients.notifications import deliver
from controller.model.errors import Transient
from tests.parts.certificate import make_certificate

NOWHERE = "127.0.0.1 is at no address of the internet"


@dataclass
class Webhook:
    """A service on loopback, and what it was told."""

    port: int
    environment: dict[str, str]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    moved_to: str | None = None

    def url(self, path: str = "hook") -> str:
        return f"jsons://127.0.0.1:{self.port}/{path}"


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    certificate = make_certificate(tmp_path)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.calls.append((self.path, json.loads(body)))
            self.send_response(200 if service.moved_to is None else 307)
            if service.moved_to is not None:
                self.send_header("Location", service.moved_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's own name
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(certificate.file)}
    service = Webhook(server.server_port, environment)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_notice_arrives_whole_where_its_host_is_allowed(webhook: Webhook) -> None:
    for hosts in (None, {"127.0.0.1"}):
        await deliver(
            webhook.url(),
            "0.1.1: Held",
            "ws-1 did not come up.",
            hosts=hosts,
            environment=webhook.environment,
        )
    (path, told), again = webhook.calls
    assert again == (path, told)
    assert (path, told["title"], told["message"]) == ("/hook", "0.1.1: Held", "ws-1 did not come up.")


async def test_no_address_of_a_private_network_is_reached_by_name_number_or_redirection(
    webhook: Webhook,
) -> None:
    numbered, environment = webhook.url(), webhook.environment
    with pytest.raises(Transient, match=f"^{NOWHERE}$"):
        await deliver(numbered, "a", "b", hosts=(), environment=environment)
    with pytest.raises(Transient, match=r"^localhost is at no address of the internet$"):
        await deliver(numbered.replace("127.0.0.1", "localhost"), "a", "b", hosts=(), environment=environment)
    assert webhook.calls == []
    webhook.moved_to = f"https://localhost:{webhook.port}/inside"
    with pytest.raises(Transient, match=r"^localhost is at no address of the internet$"):
        await deliver(numbered, "a", "b", hosts={"127.0.0.1"}, environment=environment)
    assert [path for path, _ in webhook.calls] == ["/hook"]
