"""What the server asks of each vendor's protocol: read a request, write a reply whole or as a stream, write an error."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http import HTTPStatus

from controller.model_server.conversation import Json, Reply, Request


class Protocol(ABC):
    """One protocol, for one probe: what a vendor keeps between calls is kept here."""

    @abstractmethod
    def read(self, body: Json, *, model: str = "") -> Request:
        """Return what the body asks; `model` is the one of the path, where the protocol has it there.

        Raises:
            Malformed: with what is wrong where.
        """

    @abstractmethod
    def whole(self, request: Request, reply: Reply) -> Json:
        """Return the reply as one document."""

    @abstractmethod
    def stream(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """Yield the reply as server-sent events."""

    @abstractmethod
    def error(self, status: int, message: str) -> Json:
        """Return the document of an error; `status` is the HTTP status that it goes with."""

    def wrong_key(self, message: str) -> tuple[int, Json]:
        """Return the HTTP status and the document with which the vendor refuses a key."""
        return HTTPStatus.UNAUTHORIZED, self.error(HTTPStatus.UNAUTHORIZED, message)


def event(data: Json | str, *, name: str | None = None) -> bytes:
    """Return one server-sent event (WHATWG HTML, section Server-sent events)."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()
