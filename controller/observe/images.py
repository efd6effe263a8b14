"""Reads which images exist under which reference, in one engine or in a registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

from controller.clients.docker import DockerEngine
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Problem
from controller.model.observed import Known, Observed, Unknown


async def read_engine_images(engine: DockerEngine, *, now: datetime) -> Observed[Mapping[str, str]]:
    """Return every `repository:tag` of the engine with its image id, from one request."""
    try:
        images = await engine.images()
    except Problem as problem:
        return Unknown.of(problem, now)
    return Known(images)


async def read_registry_image(registry: Registry, reference: str, *, now: datetime) -> Observed[str | None]:
    """Return the manifest digest that `reference` stands for, None when there is no such image, by one HEAD."""
    try:
        return Known(await registry.digest(reference))
    except NotFound:
        return Known(None)
    except Problem as problem:
        return Unknown.of(problem, now)


async def read_recorded_images(
    look: Callable[[Collection[str]], Awaitable[Mapping[str, Observed[str | None]]]],
    references: Collection[str],
    recorded: Mapping[str, str],
) -> Mapping[str, Observed[str | None]]:
    """Return what `look` tells of `references` and of `recorded`, which has the digest that each reference should stand for.

    A recorded image that is under no tag is looked for by itself: a tag may be gone, or stand for something else by
    now, while the image is still there.
    """
    seen = await look({*references, *recorded})
    there = {each.value for each in seen.values() if isinstance(each, Known)}
    lost = {
        f"{reference.rpartition(':')[0]}@{digest}"
        for reference, digest in recorded.items()
        if digest and digest not in there and isinstance(seen[reference], Known)
    }
    return {**seen, **await look(lost)} if lost else seen
