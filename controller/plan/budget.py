"""How many targets may be down at a time: percentages as the rollout rules define them."""

from __future__ import annotations


def allowed(amount: int | str, total: int) -> int:
    """Return `amount` (a count, or a percentage such as ``25%``) of `total` targets.

    Percentages round down; the result is at least 1, so that a rollout of few targets can move at all.
    """
    count = total * int(amount.removesuffix("%")) // 100 if isinstance(amount, str) else amount
    return max(1, count)
