"""Reads what the package index serves: versions that are there, none, or nothing that can be said."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from controller.clients.index import PackageIndex
from controller.model.errors import Problem
from controller.model.observed import Known, Observed, Unknown
from controller.model.package import ServedPackage

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
        return Unknown.of(problem, now)
