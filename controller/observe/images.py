"""Reads which images exist under which reference, in one engine or in a registry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from controller.clients.docker import DockerEngine
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Problem
from controller.model.observed import Known, Observed, Unknown


async def read_engine_images(engine: DockerEngine, *, now: datetime) -> Observed[Mapping[str, str]]:
    """Return every `repository:tag` of the engine with its image id, from one request."""
    try:
        images = await engine.images()
    except Problem as problem:
        return Unknown(str(problem), now)
    return Known(images)


async def read_registry_images(
    registry: Registry,
    references: Iterable[str],
    *,
    recorded: Mapping[str, str] = MappingProxyType({}),
    now: datetime,
) -> Observed[Mapping[str, str]]:
    """Return the manifest digest of each of `references` that exists, by one HEAD each, all at once.

    `recorded` are digests by the reference that they should be under. One that is under none is looked for by itself: a
    tag may be gone, or stand for something else by now, while the image is still there.
    """
    try:
        found = await _digests(registry, {*references, *recorded})
        lost = {
            f"{reference.rpartition(':')[0]}@{digest}"
            for reference, digest in recorded.items()
            if digest and digest not in found.values()
        }
        return Known({**found, **await _digests(registry, lost)})
    except Problem as problem:
        return Unknown(str(problem), now)


async def _digests(registry: Registry, references: Iterable[str]) -> Mapping[str, str]:
    wanted = sorted(references)
    digests = await asyncio.gather(*(_digest(registry, reference) for reference in wanted))
    return {
        reference: digest for reference, digest in zip(wanted, digests, strict=True) if digest is not None
    }


async def _digest(registry: Registry, reference: str) -> str | None:
    try:
        return await registry.digest(reference)
    except NotFound:
        return None
