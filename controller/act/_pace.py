"""How often a container is asked while something is waited for."""

from __future__ import annotations

import time
from typing import Final

_SHORTEST_SECONDS: Final = 0.02
_LONGEST_SECONDS: Final = 2.0
_SHARE: Final = 0.1
"""Polls pause for this share of what they have waited already: quick for the quick, cheap for the slow."""


def poll_pause(since: float) -> float:
    """Return how many seconds to pause before the next question, when waiting since `since` (`time.monotonic`)."""
    return min(max((time.monotonic() - since) * _SHARE, _SHORTEST_SECONDS), _LONGEST_SECONDS)
