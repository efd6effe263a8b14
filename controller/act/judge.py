"""Records that a version runs everywhere and is good: what a later rollback returns to."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.clients.parts import Parts
from controller.model.actions import Judge
from controller.model.record import Verdict
from controller.plan.outcome import judged_time, with_good


async def judge(parts: Parts, action: Judge) -> str:
    """Write the verdict Good; raises as `RecordStore` does."""
    time = judged_time(await parts.records.records(), action.version, now=datetime.now(UTC))
    verdict = Verdict(value="Good", reason="UpToDate", message=action.reason, time=time, images=action.images)
    await parts.amend(action.version, lambda record: with_good(record, verdict))
    return f"{action.version} is the last known good"
