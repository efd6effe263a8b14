"""A stand-in for the part of the GitHub API that we use: pull requests of a commit, in pages, and repository dispatches.

It refuses what GitHub would refuse: another path, a missing API version or media type, a wrong token.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_DISPATCHES = re.compile(r"/repos/(?P<repository>[^/]+/[^/]+)/dispatches")
_LONGEST_EVENT, _MOST_FIELDS = 100, 10
_PATH = re.compile(r"/repos/(?P<repository>[^/]+/[^/]+)/commits/(?P<commit>[0-9a-f]{40})/pulls")


@dataclass
class GitHubApi:
    """What it knows, whom it lets in, and what it was asked."""

    url: str = ""
    repository: str = "team/runtime"
    token: str | None = None
    pull_requests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By full commit, as the API shows them."""
    page_size: int = 100
    refusal: tuple[int, Mapping[str, str], str] | None = None
    """Status, headers and body that are answered to everything."""
    seen: list[str] = field(default_factory=list)
    dispatched: list[dict[str, Any]] = field(default_factory=list)
    """The body of each dispatch that was taken."""

    def merged(self, commit: str, *labels: str, title: str = "A title", number: int = 7) -> None:
        """Let `commit` come from a merged pull request."""
        entry = {
            "number": number,
            "title": title,
            "merged_at": "2026-01-02T03:04:05Z",
            "labels": [{"name": label, "color": "ededed"} for label in labels],
        }
        self.pull_requests.setdefault(commit, []).append(entry)

    def answer(
        self, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body for a request; one with a body is a POST."""
        self.seen.append(path)
        if self.refusal is not None:
            status, more, text = self.refusal
            return status, dict(more), text
        if headers.get("Accept") != "application/vnd.github+json":
            return 415, {}, "{}"
        if headers.get("X-GitHub-Api-Version") != "2022-11-28" or not headers.get("User-Agent"):
            return 400, {}, "{}"
        if headers.get("Authorization") != (self.token and f"Bearer {self.token}"):
            return 401, {}, '{"message": "Bad credentials"}'
        if body is not None:
            return self._dispatch(path, headers, body)
        parts = urlsplit(path)
        found = _PATH.fullmatch(parts.path)
        if found is None or found["repository"] != self.repository:
            return 404, {}, '{"message": "Not Found"}'
        return self._page(parts.path, found["commit"], parse_qs(parts.query))

    def _dispatch(
        self, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], str]:
        found = _DISPATCHES.fullmatch(path)
        if found is None or found["repository"] != self.repository or self.token is None:
            return 404, {}, '{"message": "Not Found"}'
        try:
            content = json.loads(body)
            event, payload = content.pop("event_type"), content.pop("client_payload")
        except (ValueError, KeyError, AttributeError):
            return 422, {}, '{"message": "Invalid request."}'
        sound = isinstance(event, str) and 0 < len(event) <= _LONGEST_EVENT and isinstance(payload, dict)
        if (
            content
            or not sound
            or len(payload) > _MOST_FIELDS
            or "json" not in headers.get("Content-Type", "")
        ):
            return 422, {}, '{"message": "Invalid request."}'
        self.dispatched.append({"event_type": event, "client_payload": payload})
        return 204, {}, ""

    def _page(
        self, path: str, commit: str, query: Mapping[str, list[str]]
    ) -> tuple[int, dict[str, str], str]:
        if query.get("per_page") != ["100"]:
            return 400, {}, "{}"
        entries = self.pull_requests.get(commit, [])
        number = int(query.get("page", ["1"])[0])
        rest = entries[number * self.page_size :]
        following = f'<{self.url}{path}?per_page=100&page={number + 1}>; rel="next"'
        shown = entries[(number - 1) * self.page_size : number * self.page_size]
        return 200, {"Link": following} if rest else {}, json.dumps(shown)


@contextmanager
def running_github_api() -> Iterator[GitHubApi]:
    """Serve on loopback until the block ends."""
    api = GitHubApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, sent: bytes | None) -> None:
            status, headers, body = api.answer(self.path, self.headers, sent)  # type: ignore[arg-type] # a Message reads like a mapping
            self.send_response(status)
            for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
