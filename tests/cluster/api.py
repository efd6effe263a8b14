"""Questions to the API server over HTTPS, with a client certificate; for set-up and tests that want no client library."""

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.parts.ground import PartError

_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Api:
    """An API server and who asks it; `url` has no path."""

    url: str
    ca_file: Path
    certificate_file: Path
    key_file: Path

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: object = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """The status and the document that a path answers with; what is no JSON is the document's `message`.

        Raises:
            OSError: nobody answers.
        """
        request = urllib.request.Request(  # noqa: S310 -- the URL is https
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type},
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context())
        )
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return int(answer.status), _document(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _document(error.read())

    def make(self, path: str, body: object) -> None:
        """Make an object, unless it is there; a server that is just coming up is asked again.

        Raises:
            PartError: it is refused.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            status, document = self.ask(path, method="POST", body=body)
            if status in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}:
                return
            if time.monotonic() > deadline:
                raise PartError(f"{path} answered {status}: {document.get('message')}")
            time.sleep(0.1)

    def context(self) -> ssl.SSLContext:
        """What a client of any library is given to be the administrator."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _document(raw: bytes) -> Any:  # noqa: ANN401 -- whatever the server says
    try:
        return json.loads(raw)
    except ValueError:
        return {"message": raw.decode()}
