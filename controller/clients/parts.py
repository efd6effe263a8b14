"""The clients that actions work with, in one place, so that an action's signature says what it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controller.clients.docker import DockerEngine
from controller.clients.index import PackageIndex
from controller.clients.records import RecordStore
from controller.clients.runs import Runs
from controller.model.record import ReleaseRecord
from controller.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What one object's actions use.

    `folder` is where builder runs put their files (lost without harm), `base` what relative paths of the document
    start from. `say` takes lines of progress.
    """

    engine: DockerEngine
    index: PackageIndex
    records: RecordStore
    runs: Runs
    settings: Settings
    folder: Path
    base: Path
    say: Callable[[str], None]
    _amending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def amend(self, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
        """Change the record of `version`; actions that run at the same time do so one after the other.

        Raises:
            NotFound: there is no record of it; Transient and Terminal as the store does.
        """
        async with self._amending:
            await self.records.put(change(await self.records.get(version)))
