"""Records that a version runs everywhere and is good: what a later rollback returns to."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.clients.parts import Parts
from controller.model.plan import Judge
from controller.model.record import Verdict


async def judge(parts: Parts, action: Judge) -> str:
    """Write the verdict Good; raises as `RecordStore` does."""
    verdict = Verdict(value="Good", reason="UpToDate", message=action.reason, time=datetime.now(UTC))
    await parts.amend(
        action.version, lambda record: record.model_copy(update={"verdict": verdict, "promoted": True})
    )
    return f"{action.version} is the last known good"
