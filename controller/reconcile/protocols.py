"""What the loop is given by whoever drives it: a store of the document and its status, and the world outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action
from controller.model.observation import Observation


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The document as it is asked for now, its generation, and the status last written for it."""

    document: WorkspaceRuntime
    generation: int
    status: Status


class ObjectStore(Protocol):
    """Where the document comes from and the status goes to."""

    async def read(self) -> StoredObject:
        """Return the object as it is now. Raises Terminal when the document is not valid."""

    async def write(self, status: Status) -> None:
        """Keep `status`, completely or not at all."""


class World(Protocol):
    """What is outside: read at once, changed by actions."""

    async def observe(
        self,
        document: WorkspaceRuntime,
        *,
        earlier: Observation | None,
        record: bool = False,
        settled: Collection[str] = (),
    ) -> Observation:
        """Read the world; with `earlier`, targets alone, and with `record` the record of the wanted version too.

        `settled` are the targets, by id, that had proven what is wanted at the last look: of their work nothing is needed. A source that fails is Unknown.
        """

    async def perform(self, document: WorkspaceRuntime, action: Action) -> str:
        """Do one action to its end and return one line about it. Raises a Problem when it did not succeed."""

    def waits(self) -> Mapping[str, str]:
        """Return what actions under way wait for, one line each, by their keys."""
