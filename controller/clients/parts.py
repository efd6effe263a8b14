"""The clients that actions work with, in one place, so that an action's signature says what it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Build
from controller.clients.checkouts import Checkouts
from controller.clients.docker import DockerEngine
from controller.clients.index import PackageIndex
from controller.clients.prover import Prover
from controller.clients.records import RecordStore
from controller.clients.registry import Registry
from controller.clients.runs import BuilderRuns
from controller.model.errors import Terminal, Transient
from controller.model.record import ReleaseRecord
from controller.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What one object's actions use.

    `engine` is None where there is none, as in a cluster: whoever cannot do without asks for `docker`. `folder` is where
    builder runs put their files (lost without harm), `checkouts` what they build from. `say` takes lines of progress.
    `waits` says what actions under way wait for, by their keys, and `news` is
    set whenever that changes. `switching` are the names whose old container a replacement of ours has begun to stop.
    `hosts` are the engines of other machines whose containers are targets. `registry` is where images are pulled from, None
    in Engine mode.
    """

    engine: DockerEngine | None
    index: PackageIndex
    records: RecordStore
    runs: BuilderRuns
    prover: Prover
    settings: Settings
    folder: Path
    checkouts: Checkouts
    say: Callable[[str], None]
    waits: dict[str, str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    switching: set[str] = field(default_factory=set)
    hosts: tuple[DockerEngine, ...] = ()
    registry: Registry | None = None

    @property
    def docker(self) -> DockerEngine:
        """The engine, for what cannot be done without one.

        Raises:
            Terminal: there is none.
        """
        if self.engine is None:
            raise Terminal(
                Reason.ENGINE_MISSING,
                "There is no Docker Engine here, and this is done in one.",
                fix="In a cluster, use registry.mode: Remote, and targets.workloads or dockerHosts with tlsSecretName.",
            )
        return self.engine

    @property
    def engine_arguments(self) -> tuple[str, ...]:
        """What a builder run is told of the engine, where there is one."""
        return (f"--engine={self.engine.endpoint}",) if self.engine else ()

    async def watch_news(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever what actions wait for has changed; runs until cancelled."""
        while True:
            await self.news.wait()
            self.news.clear()
            wake()

    @contextmanager
    def waiting(self, key: str) -> Iterator[Callable[[str], None]]:
        """Give what takes a line about what the action with this key waits for; it is forgotten when the block ends."""

        def note(line: str) -> None:
            self.waits[key] = line
            self.news.set()

        try:
            yield note
        finally:
            self.waits.pop(key, None)

    async def platforms(self, build: Build) -> tuple[str | None, tuple[str, ...]]:
        """Return the platform to pull, build and boot a template for, and the further ones of its image.

        See `Settings.platforms_for`. Raises Transient when the place where candidates are booted does not answer.
        """
        several = len(build.platforms or ()) > 1
        own = await self.prover.platform() if several else ""
        return self.settings.platforms_for(build.platforms, engine=own)

    async def amend(
        self,
        version: str,
        change: Callable[[ReleaseRecord], ReleaseRecord],
        *,
        wheel_sha256: str | None = None,
    ) -> None:
        """Change the record of `version`, when given only while it is that of this wheel; see `RecordStore.amend`.

        Raises:
            NotFound: there is no record of it; Transient and Terminal as the store does.
            Transient: the record names another wheel by now; nothing was changed.
        """

        def of_the_same_bytes(record: ReleaseRecord) -> ReleaseRecord:
            if wheel_sha256 is not None and record.wheel.sha256 != wheel_sha256:
                raise Transient(
                    f"The record of {version} names wheel {record.wheel.sha256} by now, and this was about {wheel_sha256}"
                )
            return change(record)

        await self.records.amend(version, of_the_same_bytes)
