"""Reads which images exist under which reference, in one engine or in a registry."""

from __future__ import annotations

from collections.abc import Mapping
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
        return Unknown(str(problem), now)
    return Known(images)


async def read_registry_image(registry: Registry, reference: str, *, now: datetime) -> Observed[str | None]:
    """Return the manifest digest that `reference` stands for, None when there is no such image, by one HEAD."""
    try:
        return Known(await registry.digest(reference))
    except NotFound:
        return Known(None)
    except Problem as problem:
        return Unknown(str(problem), now)
