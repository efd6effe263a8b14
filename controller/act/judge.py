"""Records that a version runs everywhere and is good: what a later rollback returns to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controller.clients.parts import Parts
from controller.model.plan import Judge
from controller.model.record import Verdict


async def judge(parts: Parts, action: Judge) -> str:
    """Write the verdict Good; raises as `RecordStore` does."""
    records = await parts.records.records()
    newest = max((each.verdict.time for each in records.values() if each.verdict), default=None)
    # A clock that was ahead must not make an older verdict the newer one for good.
    time = max(datetime.now(UTC), newest + timedelta(milliseconds=1)) if newest else datetime.now(UTC)
    verdict = Verdict(value="Good", reason="UpToDate", message=action.reason, time=time)
    await parts.amend(
        action.version, lambda record: record.judged(verdict).model_copy(update={"promoted": True})
    )
    return f"{action.version} is the last known good"
