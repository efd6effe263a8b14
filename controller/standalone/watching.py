"""What wakes the loop on one machine: the document's file, the engine's events, and what actions under way wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.standalone.world import StandaloneWorld


async def watch(
    world: StandaloneWorld, document: WorkspaceRuntime, files: Sequence[Path], wake: asyncio.Event
) -> None:
    """Set `wake` whenever one of the document's files, a target or what we wait for changes; runs until cancelled."""
    async with asyncio.TaskGroup() as group:
        for file in files:
            group.create_task(_watch_file(file, wake))
        group.create_task(_watch_engine(world, wake))
        group.create_task(world.parts.watch_news(wake.set))
        group.create_task(world.others.watch(wake.set))
        if world.cluster is not None:
            group.create_task(world.cluster.watch(document, wake.set))


async def _watch_file(file: Path, wake: asyncio.Event) -> None:
    """Compare the file's identity twice a second: works on every file system, and for editors that rename."""
    last = _stamp(file)
    while True:
        await asyncio.sleep(0.5)
        current = _stamp(file)
        if current != last:
            last = current
            wake.set()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        facts = file.stat()
        return (facts.st_ino, facts.st_mtime_ns, facts.st_size)
    return None


async def _watch_engine(world: StandaloneWorld, wake: asyncio.Event) -> None:
    async for event in world.parts.docker.events():
        world.sightings.heard(event.container_id, datetime.now(UTC))
        wake.set()
