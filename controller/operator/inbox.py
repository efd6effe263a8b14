"""One object as the watch delivered it last, and whether anything that somebody asks for has changed in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from controller.api.names import GROUP
from controller.clients.kube import JsonObject, age_of


class Inbox:
    """Takes the object's states in whatever order they come, and keeps the newest."""

    def __init__(self, delivered: JsonObject) -> None:
        self.latest = delivered
        self.changed = asyncio.Event()
        """Set when spec, annotations of ours or the wish to delete it have changed; not by a new status."""
        self.gone = False

    @property
    def uid(self) -> str:
        """The identity of the object, which another one of its name does not have."""
        return str(self.latest["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.latest["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.latest["metadata"]["name"])

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"

    def put(self, delivered: JsonObject) -> None:
        """Take a state of the object; an older one than was seen, or one of another object, changes nothing."""
        if delivered["metadata"]["uid"] != self.uid or age_of(delivered) < age_of(self.latest):
            return
        before, self.latest = self.latest, delivered
        if _asked(before) != _asked(delivered):
            self.changed.set()

    def end(self) -> None:
        """Take note that the object is no more."""
        self.gone = True
        self.changed.set()


def generation_of(found: Mapping[str, Any]) -> int:
    """Return which edit of the spec an object is at."""
    return int(found["metadata"].get("generation", 0))


def _asked(found: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = found["metadata"]
    annotations = metadata.get("annotations") or {}
    ours = {name: value for name, value in annotations.items() if name.startswith(f"{GROUP}/")}
    return generation_of(found), ours, metadata.get("deletionTimestamp")
