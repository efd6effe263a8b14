"""The demo's own eyes: what each workspace says of itself over HTTP, seen by nothing that belongs to the product."""

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

_LOOK_EVERY_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
_CARD_SECONDS = 30.0  # the first one after a start may wait for what a busy machine still loads
_TURN_SECONDS = 180.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Workspace:
    """One container of the demo: its name, its template, and the loopback port that its port 8000 is published on."""

    name: str
    template: str
    port: int

    @property
    def address(self) -> str:
        """`host:port` where it answers now. Raises OSError when it is nowhere."""
        return f"127.0.0.1:{self.port}"

    def reached(self) -> AbstractContextManager[None]:
        """What connections to it are made within."""
        return nullcontext()

    def runtime(self) -> dict[str, Any]:
        """What `GET /runtime` answers. Raises OSError when nothing answers."""
        return self._get("/runtime", _ANSWER_SECONDS)

    def card(self) -> dict[str, Any]:
        """The agent card. Raises OSError when it is not ready for work."""
        return self._get("/.well-known/agent-card.json", _CARD_SECONDS)

    def ask(self, text: str, *, context: str | None = None) -> str:
        """Send a message by A2A and wait for the answer's text.

        Raises:
            OSError: it was refused or the connection broke.
            RuntimeError: the turn ended in another way than with an answer.
        """
        message = {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
        if context:
            message["contextId"] = context
        task = self._call("SendMessage", {"message": message})["task"]
        while task["status"]["state"] in {"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}:
            time.sleep(0.2)
            task = self._call("GetTask", {"id": task["id"]})
        if task["status"]["state"] != "TASK_STATE_COMPLETED":
            raise RuntimeError(f"{self.name} ended the turn as {task['status']}")
        return "".join(part["text"] for artifact in task["artifacts"] for part in artifact["parts"])

    def _get(self, path: str, seconds: float) -> dict[str, Any]:
        with self.reached():
            return _json(urllib.request.Request(f"http://{self.address}{path}"), seconds)

    def _call(self, method: str, params: object) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json", "A2A-Version": "1.0"}
        request = urllib.request.Request(f"http://{self.address}/", data=body, headers=headers)
        with self.reached():
            answer = _json(request, _TURN_SECONDS)
        if "result" not in answer:
            raise RuntimeError(f"{self.name} refused {method}: {answer.get('error')}")
        result: dict[str, Any] = answer["result"]
        return result


def _json(request: urllib.request.Request, seconds: float) -> dict[str, Any]:
    with _OPENER.open(request, timeout=seconds) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


@dataclass
class Sighting:
    """A version that one workspace reported without a break in between; times are of `time.monotonic`."""

    version: str
    first: float
    last: float


class Lookout:
    """Looks at every workspace five times a second, as a user would who never stops asking."""

    def __init__(self, workspaces: Sequence[Workspace]) -> None:
        self._seen: dict[str, list[Sighting]] = {workspace.name: [] for workspace in workspaces}
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._look, args=(one,), daemon=True) for one in workspaces]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def seen(self, name: str) -> list[Sighting]:
        """What a workspace reported, oldest first."""
        return list(self._seen[name])

    def first(self, name: str, version: str) -> float | None:
        """When a workspace first reported a version."""
        return next((sighting.first for sighting in self._seen[name] if sighting.version == version), None)

    def arrivals(self, version: str) -> list[tuple[float, str]]:
        """When each workspace first reported a version, and which it was; who never did is missing."""
        firsts = ((self.first(name, version), name) for name in self._seen)
        return sorted((first, name) for first, name in firsts if first is not None)

    def down_seconds(self, name: str, before: str, after: str) -> float | None:
        """From the last answer of one version to the first answer of the next."""
        sightings = self._seen[name]
        for old, new in itertools.pairwise(sightings):
            if (old.version, new.version) == (before, after):
                return new.first - old.last
        return None

    def _look(self, workspace: Workspace) -> None:
        seen = self._seen[workspace.name]
        while not self._end.wait(_LOOK_EVERY_SECONDS):
            try:
                version = str(workspace.runtime()["version"])
            except (OSError, ValueError, urllib.error.HTTPError):
                continue
            now = time.monotonic()
            if seen and seen[-1].version == version:
                seen[-1].last = now
            else:
                seen.append(Sighting(version, now, now))
