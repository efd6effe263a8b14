"""Puts the images that a Dockerfile starts from into the engine, at the digests that the full build must start from.

A build takes a base that the engine has under its name without asking any registry; whoever wants the newer one has to
put it there first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builder.engine import Engine, EngineError, ImageNotFound
from builder.oci import Credentials, Reference


@dataclass(frozen=True, slots=True)
class Bases:
    """The bases in one engine.

    `by_registry` says whether digests are those of manifests in registries; else they are the engine's image ids.
    `platform` is the one to fetch, empty for the engine's own.
    """

    engine: Engine
    credentials: Credentials
    platform: str
    by_registry: bool

    async def prepare(
        self, names: Iterable[str], wanted: Mapping[str, str], *, newest: bool = False
    ) -> dict[str, str]:
        """Return the digest of each base by its name, as far as it is known.

        `wanted` are digests of manifests that bases must have; a base without one is fetched when the engine lacks it,
        or when the `newest` is asked for and it came from a registry.

        Raises:
            EngineError: a digest that is wanted cannot be had.
        """
        found = {}
        for name in names:
            try:
                reference = Reference.parse(name)
            except ValueError:  # an argument without a value: the build will say so
                continue
            digest = reference.digest or await self._digest(
                name, reference, wanted.get(name, ""), newest=newest
            )
            if digest:
                found[name] = digest
        return found

    async def _digest(self, name: str, reference: Reference, wanted: str, *, newest: bool) -> str:
        seen = await self._seen(name)
        credential = await self.credentials.for_host(reference.host)
        if self.by_registry and wanted:
            if wanted not in _digests(seen, reference):
                repository = name.removesuffix(f":{reference.tag}")
                exact = f"{repository}@{wanted}"
                await self.engine.pull(exact, credential=credential, platform=self.platform)
                await self.engine.tag(exact, repository=repository, tag=reference.tag or "latest")
            return wanted
        if seen is None or (newest and _digests(seen, reference)):
            # The build would fetch it, too, but leave it without a name; what fails here, it will say.
            tagged = name if reference.tag else f"{name}:latest"
            with contextlib.suppress(EngineError):
                await self.engine.pull(tagged, credential=credential, platform=self.platform)
            seen = await self._seen(name)
        if self.by_registry:
            return next(iter(_digests(seen, reference)), "")
        return str(seen["Id"]) if seen else ""

    async def _seen(self, name: str) -> Mapping[str, Any] | None:
        try:
            return await self.engine.inspect_image(name)
        except ImageNotFound:
            return None


def _digests(seen: Mapping[str, Any] | None, reference: Reference) -> list[str]:
    """Return the digests that an image has in the registry of its name; it may be known to others by other names."""
    known = (Reference.parse(str(each)) for each in (seen or {}).get("RepoDigests") or [])
    return [each.digest for each in known if each.name == reference.name and each.digest]
