"""What admits one candidate to the stand-in: an address of its own, which nobody can guess, and keys like any vendor's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

KEY_VARIABLES: Final = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
_OTHER_KEY_VARIABLE: Final = "ANTHROPIC_AUTH_TOKEN"
"""Where a key may be, too; set by documents only, as its client warns of two."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """`token` is the path below which the stand-in answers, `keys` are what it takes there."""

    token: str = field(repr=False)
    keys: frozenset[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    """What the candidate is given: its own environment, and where the vendors' clients look for addresses and keys."""

    @classmethod
    def drawn(cls, address: str, environment: Mapping[str, str]) -> Self:
        """Return a new one for a stand-in that listens at `address`, `HOST:PORT`.

        What `environment` says already wins, so that its keys are as good as the ones that are made here.
        """
        token, key = secrets.token_urlsafe(24), f"key-{secrets.token_urlsafe(24)}"
        base = f"http://{address}/{token}"
        own = {
            "OPENAI_BASE_URL": f"{base}/v1",
            "OPENAI_API_BASE": f"{base}/v1",
            "ANTHROPIC_BASE_URL": base,
            "GOOGLE_GEMINI_BASE_URL": base,
            **dict.fromkeys(KEY_VARIABLES, key),
            **environment,
        }
        keys = frozenset(own[name] for name in (*KEY_VARIABLES, _OTHER_KEY_VARIABLE) if name in own)
        return cls(token, keys, own)
