"""Who may call the admin endpoint of one machine: whoever knows the one token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TokenGuard:
    """Whoever shows exactly this token may; it is never empty."""

    token: str = field(repr=False)

    async def refusal(self, token: str) -> str | None:
        """See `Guard`."""
        same = hmac.compare_digest(token.encode(), self.token.encode())
        return None if same else "The token is another one than WSR_ADMIN_TOKEN."
