"""How a loop is, as whoever watches over it asks; apart from the server, which takes long to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STALE_SECONDS: Final = 180.0
"""After how long without a pass a loop counts as stuck: it looks once a minute, and a look takes less than one."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a loop is: how long ago its last pass was made, what that could not read, and whether it could go on."""

    pass_age_seconds: float
    unread: tuple[str, ...] = ()
    blocked: bool = False

    @property
    def ready(self) -> bool:
        """Whether it looks at the world, and sees enough of it to do its work."""
        return not self.blocked and self.pass_age_seconds < STALE_SECONDS
