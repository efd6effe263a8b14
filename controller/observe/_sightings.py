"""Targets as they were read moments ago, so that a pass asks again only those to which something may have happened.

While a fleet rolls, a pass follows every replacement. Inspecting and asking all targets each time would cost as much of
a machine's time as the replacements themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from controller.model.observed import Known
from controller.model.target import Target
from controller.plan.units import Unit

KEPT: Final = timedelta(seconds=5)
"""How long an answer may stand in for a new one: as long as a pass lets other sources stand."""


@dataclass(frozen=True, slots=True)
class _Sighting:
    target: Target
    unit: Unit
    network_sharers: tuple[str, ...]
    time: datetime


@dataclass(slots=True)
class Sightings:
    """What the last passes saw of one engine's targets, for as long as nothing was heard of their containers.

    Only a target that answered is kept: what could not be asked is asked again at once.
    """

    _templates: Mapping[str, str] = field(default_factory=dict)
    _seen: dict[str, _Sighting] = field(default_factory=dict)
    _touched: dict[str, datetime] = field(default_factory=dict)
    _images: dict[str, tuple[datetime, Mapping[str, Any]]] = field(default_factory=dict)
    _forgotten: bool = False
    """Whether all was forgotten after this pass began: what it has read may be from before."""

    def begin(self, templates: Mapping[str, str], now: datetime) -> None:
        """Begin a pass; other templates than before make every target another one."""
        if templates != self._templates:
            self.forget_all()
        self._templates = dict(templates)
        self._forgotten = False
        # NOTE: A clock that is set back must not let a sighting outlive its time.
        fresh = timedelta(0)
        self._seen = {name: seen for name, seen in self._seen.items() if fresh <= now - seen.time < KEPT}
        self._images = {one: seen for one, seen in self._images.items() if fresh <= now - seen[0] < KEPT}
        self._touched = {one: time for one, time in self._touched.items() if now - time < KEPT}

    def recall(self, unit: Unit, network_sharers: Sequence[str]) -> Target | None:
        """Return the target if its containers look as they did, and nothing was heard of them since."""
        seen = self._seen.get(unit.name)
        if seen is None or (seen.unit, seen.network_sharers) != (unit, tuple(network_sharers)):
            return None
        touched = (self._touched.get(name) for name in (unit.name, seen.target.container_id))
        return None if any(time is not None and time >= seen.time for time in touched) else seen.target

    def last(self, name: str) -> Target | None:
        """Return a target as it was moments ago, whatever happened to it since; None when it was not seen."""
        seen = self._seen.get(name)
        return None if seen is None else seen.target

    def keep(self, target: Target, unit: Unit, network_sharers: Sequence[str], *, since: datetime) -> None:
        """Keep a target that was read from `since` on."""
        if isinstance(target.running, Known) and target.succession is None and not self._forgotten:
            self._seen[unit.name] = _Sighting(target, unit, tuple(network_sharers), since)

    def image(self, image_id: str) -> Mapping[str, Any] | None:
        """Return an image as it was read moments ago, None when it was not."""
        seen = self._images.get(image_id)
        return None if seen is None else seen[1]

    def keep_image(self, image_id: str, image: Mapping[str, Any], *, since: datetime) -> None:
        """Keep an image that was read from `since` on."""
        if not self._forgotten:
            self._images[image_id] = (since, image)

    def touch(self, container: str, now: datetime) -> None:
        """Let a target be read again; `container` is the name it goes by, or the id of its container."""
        self._touched[container] = now

    def heard(self, container: str, now: datetime) -> None:
        """Take in an event of the engine: of the container of that id, or of none, where others may have been missed."""
        if container:
            self.touch(container, now)
        else:
            self.forget_all()

    def forget_all(self) -> None:
        """Let every target be read again."""
        self._seen.clear()
        self._images.clear()
        self._forgotten = True
