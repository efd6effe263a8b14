"""Keeps what registries ask for with `Retry-After`: nobody asks them again before, up to a cap."""

from __future__ import annotations

import asyncio
import email.utils
import time
from http import HTTPStatus
from typing import Final

import aiohttp

from builder.oci.errors import RateLimited

CAP_SECONDS: Final = 600.0
"""A registry that asks for more is asked again after this: a clock or a unit may be wrong there."""
WAIT_SECONDS: Final = 5.0
"""What is waited for on the spot; longer times are the caller's, who has other work."""

_MAY_NAME_A_TIME: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def retry_after_seconds(answer: aiohttp.ClientResponse) -> float | None:
    """Return how long a registry asks to be left alone, capped; None when it names no time (RFC 9110, 10.2.3)."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return min(float(value), CAP_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - time.time()), CAP_SECONDS)


class Patience:
    """What the registries of one client asked for."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    async def before(self, host: str, what: str) -> None:
        """Wait until a host may be asked; raises RateLimited when that is not soon."""
        remaining = self._until.get(host, 0.0) - time.monotonic()
        if remaining > WAIT_SECONDS:
            raise RateLimited(
                f"{host} asked for no requests for another {remaining:.0f} s, so it was not asked for {what}.",
                retry_after=remaining,
            )
        if remaining > 0:
            await asyncio.sleep(remaining)

    def heard(self, host: str, answer: aiohttp.ClientResponse) -> bool:
        """Note what an answer asks for; tell whether the same may be asked again after `before`."""
        seconds = retry_after_seconds(answer) if answer.status in _MAY_NAME_A_TIME else None
        if seconds is None:
            return False
        self._until[host] = time.monotonic() + seconds
        return seconds <= WAIT_SECONDS
