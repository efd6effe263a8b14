"""Tells platforms in the cluster which image a new workspace should use: ConfigMap `<object>-images`, one key for each template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.api.conditions import Reason
from controller.api.status import Status
from controller.clients.kube import JsonObject, KubeCluster, Owner, Place, Resource
from controller.model.errors import NotFound, Terminal
from controller.model.workload import FIELD_MANAGER
from controller.operator.inbox import Inbox

CONFIG_MAPS: Final = Resource("v1", "configmaps", "ConfigMap")


class ImageNames:
    """The ConfigMap of one object; it goes with the object."""

    def __init__(self, cluster: KubeCluster, inbox: Inbox) -> None:
        self._cluster = cluster
        self._inbox = inbox
        self._place = Place(CONFIG_MAPS, inbox.namespace, f"{inbox.name}-images")
        self._ours = False
        self._told: Mapping[str, str] = {}

    async def admit(self) -> None:
        """Check that the ConfigMap is ours, or not there yet: whoever may name an object may not thereby write another one's.

        Raises:
            Terminal: NameTaken; or the server did not tell.
            Transient: the same, for now.
        """
        if self._ours:
            return
        try:
            # A patch of nothing writes nothing, and to read one would take the right to read all.
            found = await self._cluster.merge(self._place, {}, manager=FIELD_MANAGER)
        except NotFound:
            found = None
        if found is not None and not _is_applied_by_us(found):
            raise Terminal(
                Reason.NAME_TAKEN,
                f"{self._place} is somebody else's, and new workspaces would be told their images there.",
                fix="Rename it, or this object.",
            )
        self._ours = True

    async def tell(self, status: Status) -> None:
        """Have it say what `status` says, if that is new and it was admitted.

        Raises:
            Transient, Terminal: the server did not take it.
        """
        images = {template.name: template.image for template in status.templates if template.image}
        if images == self._told or not self._ours:
            return
        owner = Owner(self._inbox.namespace, self._inbox.name, self._inbox.uid).reference
        body = {"metadata": {"name": self._place.name, "ownerReferences": [owner]}, "data": images}
        await self._cluster.apply(self._place, body, manager=FIELD_MANAGER, force=True)
        self._told = images


def _is_applied_by_us(found: JsonObject) -> bool:
    writes = found["metadata"].get("managedFields") or ()
    return any((each["manager"], each["operation"]) == (FIELD_MANAGER, "Apply") for each in writes)
