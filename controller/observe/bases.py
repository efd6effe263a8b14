"""Reads which images the templates' Dockerfiles start from now: in the one engine, or by one HEAD to each one's registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from controller.clients.registry import Registry, parse
from controller.model.errors import Problem
from controller.model.observed import Known, Observed, Unknown

INTERVAL: Final = timedelta(seconds=60)
"""A base is asked for once in this time, however often the rest is read: its registry may be anybody's."""
TIMEOUT_SECONDS: Final = 5.0
"""A registry that does not answer must not hold up a pass: no step depends on a base."""


def read_engine_bases(names: Iterable[str], images: Mapping[str, str]) -> Mapping[str, Observed[str]]:
    """Return the image id of each base that the engine has, from what was read of it; others are left out."""
    found: dict[str, Observed[str]] = {}
    for name in names:
        image = images.get(familiar(name))
        if image is not None:
            found[name] = Known(image)
    return found


def familiar(name: str) -> str:
    """Return a name the way an engine lists it: without Docker Hub's host and `library/`, with a tag."""
    bare, at, digest = name.partition("@")
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        bare = bare.removeprefix(prefix)
    tagged = bare if at or ":" in bare.rsplit("/", 1)[-1] else f"{bare}:latest"
    return f"{tagged}{at}{digest}"


@dataclass(slots=True)
class RegistryBases:
    """The digests of bases in their registries; `registry_of` opens the client for a host, or gives the one that is open."""

    registry_of: Callable[[str], Awaitable[Registry]]
    _read: dict[str, tuple[datetime, Observed[str]]] = field(default_factory=dict)

    async def read(self, names: Iterable[str], *, now: datetime) -> Mapping[str, Observed[str]]:
        """Return the digest of each base, Unknown where its registry does not tell it; `now` is aware UTC.

        A base that is named by its digest is what it is, and never asked for.
        """
        wanted = sorted(set(names))
        due = [name for name in wanted if name not in self._read or now - self._read[name][0] >= INTERVAL]
        for name, seen in zip(
            due, await asyncio.gather(*(self._digest(name, now) for name in due)), strict=True
        ):
            earlier = self._read.get(name)
            again = earlier is not None and isinstance(earlier[1], Unknown) and isinstance(seen, Unknown)
            since = earlier[1].since if again and earlier and isinstance(earlier[1], Unknown) else now
            self._read[name] = (now, replace(seen, since=since) if isinstance(seen, Unknown) else seen)
        return {name: self._read[name][1] for name in wanted}

    async def _digest(self, name: str, now: datetime) -> Observed[str]:
        try:
            reference = parse(name)
            if reference.digest:
                return Known(reference.digest)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                registry = await self.registry_of(reference.host)
                return Known(await registry.digest(name))
        except TimeoutError:
            return Unknown(f"{name} was not answered for within {TIMEOUT_SECONDS:g} s", now)
        except Problem as problem:
            return Unknown.of(problem, now)
