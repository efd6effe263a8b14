"""Who of several replicas works: one Lease (coordination.k8s.io), taken when its holder has not renewed it for long enough.

Clocks of machines are not compared: whoever waits measures by its own clock since when the Lease did not change, and who
holds it counts from before the request that renewed it. So a holder gives up before anybody else may take over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from controller.clients.kube import Conflict, JsonObject, KubeCluster, Place, Resource
from controller.model.errors import NotFound, Transient

LEASES: Final = Resource("coordination.k8s.io/v1", "leases", "Lease")
_MANAGER: Final = "workspace-runtime"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a Lease holds without being renewed, when its holder gives up, and how often both look at it."""

    lease_seconds: float = 10.0
    give_up_seconds: float = 7.0
    look_seconds: float = 1.0
    renew_seconds: float = 2.0


class Lease:
    """One candidate for a Lease; `identity` is no other one's, not even after a restart. `answered` hears that the server did."""

    def __init__(
        self,
        cluster: KubeCluster,
        place: Place,
        identity: str,
        *,
        pace: Pace = Pace(),
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._place = place
        self._identity = identity
        self._pace = pace
        self._answered = answered
        self._held: JsonObject | None = None
        self.renewed = 0.0
        """When the last renewal that succeeded was begun, in seconds of the monotonic clock."""

    @property
    def overdue(self) -> bool:
        """Whether the holder must have given up by now."""
        return time.monotonic() - self.renewed > self._pace.give_up_seconds

    async def acquire(self) -> None:
        """Wait until the Lease is ours.

        Raises:
            Terminal: we may not read or write it.
        """
        seen: object = None
        since = time.monotonic()
        while True:
            try:
                begun = time.monotonic()
                found = await self._read()
                self._answered()
                told = found["metadata"]["resourceVersion"] if found else None
                if told != seen:
                    seen, since = told, time.monotonic()
                if found is None or _is_free(found) or time.monotonic() - since > self._patience(found):
                    self._held = await self._take(found)
                    self.renewed = begun
                    return
            except Transient:
                since = time.monotonic()  # what changed meanwhile was not seen
            await asyncio.sleep(self._pace.look_seconds)

    async def hold(self) -> None:
        """Renew the Lease until it is lost; returns then, at the latest before anybody else may have it."""
        while True:
            await asyncio.sleep(self._pace.renew_seconds)
            begun = time.monotonic()
            left = self._pace.give_up_seconds - (begun - self.renewed)
            try:
                async with asyncio.timeout(max(0.0, left)):
                    self._held = await self._write({"renewTime": _now()}, self._held)
            except Conflict:
                if not await self._still_ours():
                    return
            except (Transient, TimeoutError):
                if self.overdue:
                    return
            except NotFound:
                return
            else:
                self.renewed = begun
                self._answered()

    async def release(self) -> None:
        """Let others have the Lease at once; without effect when it is not ours."""
        held, self._held = self._held, None
        if held is not None and not self.overdue:
            with suppress(Conflict, NotFound):
                # NOTE: An empty name is how client-go says that nobody holds it.
                await self._write({"holderIdentity": "", "leaseDurationSeconds": 1}, held)

    async def _still_ours(self) -> bool:
        """Tell whether it was changed without being taken, as by an annotation, and take note of the new version."""
        try:
            async with asyncio.timeout(
                max(0.0, self._pace.give_up_seconds - (time.monotonic() - self.renewed))
            ):
                found = await self._read()
        except (Transient, TimeoutError):
            return not self.overdue
        if found is None or found["spec"].get("holderIdentity") != self._identity:
            return False
        self._held = found
        return True

    def _patience(self, found: JsonObject) -> float:
        return max(self._pace.lease_seconds, float(found["spec"].get("leaseDurationSeconds") or 0))

    async def _read(self) -> JsonObject | None:
        try:
            return await self._cluster.read(self._place.resource, self._place.namespace, self._place.name)
        except NotFound:
            return None

    async def _take(self, found: JsonObject | None) -> JsonObject:
        changes = (found["spec"].get("leaseTransitions") or 0) + 1 if found else 0
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._pace.lease_seconds),
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": changes,
        }
        if found is not None:
            return await self._write(spec, found)
        body = {"metadata": {"name": self._place.name}, "spec": spec}
        return await self._cluster.create(self._place.resource, self._place.namespace, body)

    async def _write(self, spec: dict[str, Any], found: JsonObject | None) -> JsonObject:
        """Change the Lease as it was read. Raises Conflict when it has changed since."""
        version = found["metadata"]["resourceVersion"] if found else ""
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._cluster.merge(self._place, body, manager=_MANAGER)


def _is_free(found: JsonObject) -> bool:
    return not found["spec"].get("holderIdentity")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
