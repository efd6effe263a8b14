"""The object store of a cluster: the document as the watch delivered it, the status written by us alone, as a difference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from controller.api.crd import PLURAL
from controller.api.load import InvalidDocument, load_object
from controller.api.names import API_VERSION, KIND
from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.kube import Conflict, JsonObject, KubeCluster, Place, Resource
from controller.model.errors import Terminal, Transient
from controller.model.workload import FIELD_MANAGER
from controller.operator.inbox import Inbox, generation_of
from controller.reconcile.protocols import StoredObject

OBJECTS: Final = Resource(API_VERSION, PLURAL, KIND)
_WRITES: Final = 5
"""How often a status is written anew because something else of the object changed in between."""
_FREE_TEXTS: Final = frozenset({"held", "message", "why"})


class Superseded(Transient):
    """The document was edited since this status was found: what was decided on is dropped."""


@dataclass(slots=True)
class KubeStore:
    """The `ObjectStore` of one object.

    `redacted` takes what is secret out of a text, `before_write` and `on_write` hear of each status.

    Which state of the object the loop works on is for `admit` to say, so that it changes only when nothing that its
    world was opened with has.
    """

    cluster: KubeCluster
    inbox: Inbox
    redacted: Callable[[str], str] = lambda text: text
    on_write: Callable[[Status, Status], None] = lambda _before, _after: None
    before_write: Callable[[Status], Awaitable[None]] | None = None
    _document: WorkspaceRuntime | None = None
    _generation: int = 0
    _seen: tuple[object, Status] = field(default=(None, Status()))

    def admit(self) -> WorkspaceRuntime:
        """Let the loop work on the object as it was delivered last, and return its document.

        Raises:
            Terminal: Invalid; the message has one line per problem.
        """
        document, generation = document_of(self.inbox.latest), generation_of(self.inbox.latest)
        self._document, self._generation = document, generation
        return document

    async def read(self) -> StoredObject:
        """See `ObjectStore`."""
        if self._document is None:
            raise RuntimeError("no document was admitted")
        return StoredObject(self._document, self._generation, self.status)

    @property
    def status(self) -> Status:
        """The status as it was delivered or written last; empty when there is none, or none that can be read."""
        told = self.inbox.latest.get("status")
        if self._seen[0] is not told:
            self._seen = (told, _status_of(told))
        return self._seen[1]

    async def write(self, status: Status) -> None:
        """See `ObjectStore`.

        Raises:
            Superseded: the document was edited meanwhile.
            NotFound: the object is no more.
            Transient, Terminal: the server did not take it.
        """
        before = self.status
        if self.before_write is not None:
            await self.before_write(status)
        wanted = _told(status.model_dump(mode="json", by_alias=True, exclude_none=True), self.redacted)
        problem: Transient = Transient("")
        for _ in range(_WRITES):
            latest = self.inbox.latest
            if generation_of(latest) != status.observed_generation:
                raise Superseded(f"{self.inbox.key} was edited since generation {status.observed_generation}")
            changes = difference(latest.get("status") or {}, wanted)
            if not changes:
                return
            version = {"resourceVersion": latest["metadata"]["resourceVersion"]}
            body = {"metadata": version, "status": changes}
            place = Place(OBJECTS, self.inbox.namespace, self.inbox.name)
            try:
                written = await self.cluster.merge(place, body, manager=FIELD_MANAGER, part="status")
            except Conflict as conflict:
                problem = conflict
                self.inbox.put(await self.cluster.read(place.resource, place.namespace, place.name))
                continue
            self.inbox.put(written)
            self.on_write(before, status)
            return
        raise problem


def document_of(found: JsonObject) -> WorkspaceRuntime:
    """Return the document in an object of the cluster.

    Raises:
        Terminal: Invalid; the message has one line per problem.
    """
    try:
        return load_object(found)
    except InvalidDocument as error:
        raise Terminal("Invalid", f"{error}.", fix="Nothing was touched.") from None


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a merge patch (RFC 7386) must say to make `after` of `before`; empty when nothing."""
    changes: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        was = before.get(key)
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            if inner := difference(was, value):
                changes[key] = inner
        elif was != value:
            changes[key] = value
    return changes


def _status_of(told: Any) -> Status:  # noqa: ANN401 -- whatever JSON holds
    try:
        return Status.model_validate(told or {})
    except ValidationError:
        return Status()


def _told(value: Any, change: Callable[[str], str], *, free: bool = False) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Return `value` with what is written for people in it changed: names, digests and references stay as they are."""
    if isinstance(value, str):
        return change(value) if free else value
    if isinstance(value, Mapping):
        return {key: _told(each, change, free=key in _FREE_TEXTS) for key, each in value.items()}
    return [_told(each, change) for each in value] if isinstance(value, list) else value
