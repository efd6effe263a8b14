"""Tells platforms in the cluster which image a new workspace should use: ConfigMap `<object>-images`, one key for each template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.api.status import Status
from controller.clients.kube import KubeCluster, Owner, Place, Resource
from controller.model.workload import FIELD_MANAGER
from controller.operator.inbox import Inbox

CONFIG_MAPS: Final = Resource("v1", "configmaps", "ConfigMap")


class ImageNames:
    """The ConfigMap of one object; it goes with the object."""

    def __init__(self, cluster: KubeCluster, inbox: Inbox) -> None:
        self._cluster = cluster
        self._inbox = inbox
        self._told: Mapping[str, str] = {}

    async def tell(self, status: Status) -> None:
        """Have it say what `status` says, if that is new.

        Raises:
            Transient, Terminal: the server did not take it.
        """
        images = {template.name: template.image for template in status.templates if template.image}
        if images == self._told:
            return
        owner = Owner(self._inbox.namespace, self._inbox.name, self._inbox.uid).reference
        place = Place(CONFIG_MAPS, self._inbox.namespace, f"{self._inbox.name}-images")
        body = {"metadata": {"name": place.name, "ownerReferences": [owner]}, "data": images}
        await self._cluster.apply(place, body, manager=FIELD_MANAGER, force=True)
        self._told = images
