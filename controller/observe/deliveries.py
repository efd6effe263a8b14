"""Reads what somebody else delivered: the images under a template's moving tags, and under tags of the wanted version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from datetime import datetime

from builder.contract import tags_of_version
from controller.api.v1alpha1 import Template
from controller.clients.registry import DEFAULT_PLATFORM, Registry
from controller.model.delivery import DeliveredImage
from controller.model.errors import NotFound, Problem
from controller.model.observed import Known, Observed, Unknown

Seen = MutableMapping[str, DeliveredImage]
"""Images that were looked at, by reference and digest: whoever pushes may move any tag of theirs."""


async def read_deliveries(  # noqa: PLR0913 -- each says one thing about what to read
    registry: Registry,
    template: Template,
    *,
    moving: Mapping[str, str],
    version: str | None,
    platform: str | None,
    seen: Seen,
    now: datetime,
) -> Observed[tuple[DeliveredImage, ...]]:
    """Return the images of a template that are served, those under its moving tags first.

    `moving` are digests that were just read, by reference, so that a tag that did not move costs nothing more. With
    `version`, tags are listed too, for those that an image of it has got.
    """

    async def look(reference: str, digest: str | None = None) -> DeliveredImage | None:
        try:
            digest = digest or await registry.digest(reference)
            key = f"{reference}@{digest}"
            if key not in seen:
                seen[key] = await registry.delivered(
                    reference, digest=digest, platform=platform or DEFAULT_PLATFORM
                )
        except NotFound:
            return None
        return seen[key]

    moved = [f"{template.image}:{tag}" for tag in template.tags]
    wanted = [(reference, digest) for reference in moved if (digest := moving.get(reference)) is not None]
    try:
        tags = tags_of_version(version, await registry.tags(template.image)) if version is not None else []
        named = [f"{template.image}:{tag}" for tag in tags if tag not in template.tags]
        found = await asyncio.gather(*(look(*each) for each in wanted), *(look(each) for each in named))
    except Problem as problem:
        return Unknown.of(problem, now)
    images: dict[str, DeliveredImage] = {}
    for image in found:
        if image is not None:
            images.setdefault(image.digest, image)
    return Known(tuple(images.values()))
