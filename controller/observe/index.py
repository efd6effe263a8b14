"""Reads what the package index serves: a version that is absent, one that is there, or nothing that can be said."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from controller.clients.index import PackageIndex
from controller.model.errors import Problem
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import Release, ServedPackage

TIMEOUT_SECONDS: Final = 20.0


async def read_package(
    index: PackageIndex, package: str, *, now: datetime, timeout_seconds: float = TIMEOUT_SECONDS
) -> Observed[ServedPackage]:
    """Return all versions that the index serves; only its own 404 counts as none. `now` is aware UTC."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return Known(await index.served(package))
    except TimeoutError:
        return Unknown(f"The index did not answer for {package} within {timeout_seconds:g} s", now)
    except Problem as problem:
        return Unknown(str(problem), now)


async def read_release(
    index: PackageIndex,
    package: str,
    version: str,
    *,
    now: datetime,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Observed[Release | None]:
    """Return what the index serves for one version, Known(None) when it is not there; else as `read_package`."""
    observed = await read_package(index, package, now=now, timeout_seconds=timeout_seconds)
    return Known(observed.value.releases.get(version)) if isinstance(observed, Known) else observed
