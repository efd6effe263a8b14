"""Objects of a cluster as watches keep them, so that looking at what did not change asks the server for nothing.

It answers what was followed and is current; everything else goes to the server. While a stream is broken nothing of it is
current: what cannot be read is told as that, and never as it was before. What we write is in it at once, so that nobody
who wrote sees an older object than that. Of a workload, a pod and a claim only what is read here is kept.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final, TypeVar

from controller.clients._kube_slim import slim
from controller.clients.kube import Conflict, JsonObject, KubeCluster, Listed, Place, Resource, age_of
from controller.clients.kube_follow import follow
from controller.clients.label_selector import pairs_of, selects

T = TypeVar("T")

UNHEARD_SECONDS: Final = 0.5
"""How soon to look again at what no stream tells of."""
_GONE: Final = "DELETED"


class Kept(dict[str, Any]):
    """An object as it is held, and what was made of it: the next state of it is another one."""

    __slots__ = ("made",)

    def __init__(self, found: JsonObject) -> None:
        super().__init__(found)
        self.made: dict[Hashable, Any] = {}


def made_once(found: JsonObject, what: Hashable, make: Callable[[], T]) -> T:
    """Return what `make` makes of an object, made once for each `what` of one that is held."""
    if not isinstance(found, Kept):
        return make()
    if what not in found.made:
        found.made[what] = make()
    made: T = found.made[what]
    return made


class _Shelf:
    """The objects of one kind in one namespace, by name and by label; `version` is the newest that was heard of."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.objects: dict[str, JsonObject] = {}
        self.connected = asyncio.Event()
        self.version = ""
        self._carrying: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._awaited: dict[str, asyncio.Event] = {}

    @property
    def current(self) -> bool:
        """Whether everything that is known of by now is here."""
        return bool(self.version) and self.connected.is_set()

    def replace(self, listed: Listed) -> None:
        """Hold what was listed, and of what is newer only that."""
        newer = [each for each in self.objects.values() if age_of(each) > int(listed.version)]
        self.objects, self._carrying = {}, defaultdict(set)
        for each in (*listed.items, *newer):
            self.put(each)

    def put(self, found: JsonObject) -> None:
        """Hold an object, unless a newer state of it is held."""
        if self.remove(found):
            self.objects[_name(found)] = found if isinstance(found, Kept) else Kept(slim(self._kind, found))
            for pair in _labels(found).items():
                self._carrying[pair].add(_name(found))
            self._tell(_name(found))

    def remove(self, found: JsonObject) -> bool:
        """Hold an object no more, unless a newer state of it is held; return whether it is not held now."""
        known = self.objects.get(_name(found))
        if known is None:
            return True
        if age_of(known) > age_of(found):
            return False
        del self.objects[_name(found)]
        for pair in _labels(known).items():
            self._carrying[pair].discard(_name(found))
        self._tell(_name(found))
        return True

    async def changed(self, name: str, version: str) -> None:
        """Wait until an object is not held as of `version`."""
        while name in self.objects and self.objects[name]["metadata"]["resourceVersion"] == version:
            await self._awaited.setdefault(name, asyncio.Event()).wait()

    def _tell(self, name: str) -> None:
        if (awaited := self._awaited.pop(name, None)) is not None:
            awaited.set()

    def selected(self, selector: str) -> tuple[JsonObject, ...]:
        """Return what a selector selects, by name."""
        sets = [self._carrying.get(pair, set()) for pair in pairs_of(selector)]
        names = min(sets, key=len) if sets else self.objects.keys()
        return tuple(
            self.objects[name] for name in sorted(names) if selects(selector, _labels(self.objects[name]))
        )


class KubeCache:
    """A cluster to read workloads and pods from; raises as `KubeCluster` does."""

    def __init__(self, cluster: KubeCluster) -> None:
        self.cluster = cluster
        self._shelves: dict[tuple[Resource, str], _Shelf] = {}

    async def follow(self, resource: Resource, namespace: str, changed: Callable[[], None]) -> None:
        """Keep the objects of a kind current and call `changed` at each change; runs until cancelled.

        Raises:
            Terminal: we may not list or watch them; they are read one time after the other then.
        """
        shelf = self._shelves[resource, namespace] = _Shelf(resource.kind)

        try:
            keep = partial(slim, resource.kind)
            changes = follow(self.cluster, resource, namespace, connected=shelf.connected, kept=keep)
            async with aclosing(changes) as news:
                async for each in news:
                    if isinstance(each, Listed):
                        shelf.replace(each)
                    elif each.kind == _GONE:
                        shelf.remove(each.object)
                    else:
                        shelf.put(each.object)
                    shelf.version = each.version
                    changed()
        finally:
            del self._shelves[resource, namespace]

    async def list(self, resource: Resource, namespace: str, *, labels: str = "") -> Listed:
        """Return the objects of a kind in a namespace that a selector selects."""
        shelf = self._shelves.get((resource, namespace))
        if shelf is None or not shelf.current:
            return await self.cluster.list(resource, namespace, labels=labels)
        return Listed(shelf.selected(labels), shelf.version)

    async def read(self, resource: Resource, namespace: str | None, name: str) -> JsonObject:
        """Return one object. Raises NotFound when there is none."""
        shelf = self._shelves.get((resource, namespace or ""))
        if shelf is None or not shelf.current or name not in shelf.objects:
            return await self.cluster.read(resource, namespace, name)
        return shelf.objects[name]

    async def changed(self, at: Place, version: str, *, seconds: float) -> None:
        """Wait until an object is not as of `version` any more, or for `seconds`; where nothing is heard of it, for a moment."""
        shelf = self._shelves.get((at.resource, at.namespace or ""))
        if shelf is None or not shelf.current:
            await asyncio.sleep(min(seconds, UNHEARD_SECONDS))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await shelf.changed(at.name, version)

    async def apply(
        self, at: Place, body: Mapping[str, Any], *, manager: str, force: bool = False
    ) -> JsonObject:
        """Own the fields in `body`; see `KubeCluster.apply`."""
        try:
            written = await self.cluster.apply(at, body, manager=manager, force=force)
        except Conflict:
            # The next look must not be at what has just been found to be old.
            self._note(at, await self.cluster.read(at.resource, at.namespace, at.name))
            raise
        self._note(at, written)
        return written

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        """Delete an object; see `KubeCluster.delete`."""
        await self.cluster.delete(resource, namespace, name, uid=uid)

    def _note(self, at: Place, found: JsonObject) -> None:
        shelf = self._shelves.get((at.resource, at.namespace or ""))
        if shelf is not None:
            shelf.put(found)


def _name(found: JsonObject) -> str:
    name: str = found["metadata"]["name"]
    return name


def _labels(found: JsonObject) -> Mapping[str, str]:
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return labels
