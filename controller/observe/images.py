"""Reads which images exist under which reference, in one engine or in a registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from controller.clients.docker import DockerEngine
from controller.clients.registry import Registry
from controller.model.errors import NotFound, Problem
from controller.model.observed import Known, Observed, Unknown
from controller.model.template_record import TemplateRecord

Look = Callable[[Collection[str]], Awaitable[Mapping[str, Observed[str | None]]]]
"""Tells of references, each with a tag or a digest, which digest they stand for; None for what is not there."""


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
    look: Look,
    references: Collection[str],
    recorded: Mapping[str, str],
) -> Mapping[str, Observed[str | None]]:
    """Return what `look` tells of `references` and of `recorded`, which has the digest that each reference should stand for.

    A recorded image that is under no tag is looked for by itself: a tag may be gone, or stand for something else by
    now, while the image is still there.
    """
    seen = await look({*references, *recorded})
    there = {
        f"{reference.rpartition(':')[0]}@{each.value}"
        for reference, each in seen.items()
        if isinstance(each, Known)
    }
    wanted = {
        f"{reference.rpartition(':')[0]}@{digest}"
        for reference, digest in recorded.items()
        if digest and isinstance(seen[reference], Known)
    }
    lost = wanted - there
    return {**seen, **await look(lost)} if lost else seen


async def read_first_images(
    look: Look,
    references: Collection[str],
    recorded: Mapping[str, str],
    orders: Iterable[Sequence[TemplateRecord]],
) -> Mapping[str, Observed[str | None]]:
    """Return what `read_recorded_images` does, and of each of `orders` what is told of the first image that is there.

    Further images of an order are looked for only when all before them are gone.
    """
    waiting = [order for order in orders if order]
    seen: Mapping[str, Observed[str | None]] = {}
    recorded = {**recorded, **_first_of(waiting)}
    while references or recorded:
        seen = {**seen, **await read_recorded_images(look, references, recorded)}
        waiting = [order[1:] for order in waiting if _is_gone(order[0], seen) and order[1:]]
        references, recorded = (), _first_of(waiting)
    return seen


def _first_of(orders: Iterable[Sequence[TemplateRecord]]) -> Mapping[str, str]:
    return {order[0].image: order[0].identity for order in orders}


def _is_gone(image: TemplateRecord, seen: Mapping[str, Observed[str | None]]) -> bool:
    exact = seen.get(image.exact)
    return isinstance(exact, Known) and exact.value is None
