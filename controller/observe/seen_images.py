"""Reads what recorded images say of themselves and what their full builds hold: facts that never change, each read once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from builder.contract import unmet_requirements
from controller.clients.bounded import bounded
from controller.clients.records import RecordStore
from controller.model.errors import Problem
from controller.model.observed import Known, Observed, Unknown
from controller.model.template_record import FullBuild

ReadLabels = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns the labels of one image, named by its digest or id."""


@dataclass(slots=True)
class SeenImages:
    """What was read of images so far, by digest; an image that could not be read is read again."""

    _labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _unmet: dict[tuple[str, tuple[str, ...]], tuple[tuple[str, str], ...]] = field(default_factory=dict)

    async def labels(
        self, images: Mapping[str, ReadLabels], *, now: datetime
    ) -> Mapping[str, Observed[Mapping[str, str]]]:
        """Return the labels of images by identity; `images` says how those of each are read."""
        found = await asyncio.gather(*(self._of_image(each, read, now) for each, read in images.items()))
        return dict(zip(images, found, strict=True))

    async def _of_image(self, identity: str, read: ReadLabels, now: datetime) -> Observed[Mapping[str, str]]:
        if identity not in self._labels:
            try:
                self._labels[identity] = await bounded(read())
            except Problem as problem:
                return Unknown.of(problem, now)
        return Known(self._labels[identity])

    async def unmet(
        self, builds: Mapping[str, FullBuild], requires: Sequence[str], records: RecordStore
    ) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """Return, by template, pairs of what is installed in its full build and what the wheel's `requires` ask for.

        A full build whose inventory was not kept, or cannot be read now, is left out: the build itself will look.
        """
        found = await asyncio.gather(*(self._of_build(build, requires, records) for build in builds.values()))
        return {name: unmet for name, unmet in zip(builds, found, strict=True) if unmet}

    async def _of_build(
        self, build: FullBuild, requires: Iterable[str], records: RecordStore
    ) -> tuple[tuple[str, str], ...]:
        if build.inventory is None:
            return ()
        key = (build.inventory.sha256, tuple(requires))
        if key not in self._unmet:
            try:
                inventory = await bounded(records.get_blob(build.inventory))
            except Problem:
                return ()
            self._unmet[key] = tuple(
                (f"{each.name} {each.installed or 'absent'}", f"{each.name}{each.needed}")
                for each in unmet_requirements(inventory, key[1])
            )
        return self._unmet[key]
