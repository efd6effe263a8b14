"""Records that a version runs everywhere and is good: what a later rollback returns to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from controller.clients.parts import Parts
from controller.model.plan import Judge
from controller.model.record import ReleaseRecord, Verdict


async def judge(parts: Parts, action: Judge) -> str:
    """Write the verdict Good; raises as `RecordStore` does."""
    records = await parts.records.records()
    times = [each.verdict.time for each in records.values() if each.verdict]
    images = records[action.version].in_use.templates.values()
    times += [each.built_time for each in images if each.built_time]
    # A clock that was ahead must not make an older verdict the newer one for good, nor leave out an image that is there.
    time = max([datetime.now(UTC), *(each + timedelta(milliseconds=1) for each in times)])
    verdict = Verdict(value="Good", reason="UpToDate", message=action.reason, time=time)
    await parts.amend(action.version, lambda record: _judged(record, verdict))
    return f"{action.version} is the last known good"


def _judged(record: ReleaseRecord, verdict: Verdict) -> ReleaseRecord:
    """Return the record with the verdict, unless a target failed while it was written."""
    return record if record.failed else record.judged(verdict).model_copy(update={"promoted": True})
