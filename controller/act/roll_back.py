"""Takes up the request to go back from a version: once, whatever becomes of it afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.clients.parts import Parts
from controller.model.actions import RollBack
from controller.model.record import ReleaseRecord
from controller.plan.rollback import rolled_back


async def roll_back(parts: Parts, action: RollBack) -> str:
    """Hold the version in its record, with what its targets return to, and note the request with it.

    Raises:
        NotFound, Transient, Terminal: as `RecordStore.amend` does.
    """
    now = datetime.now(UTC)

    def change(record: ReleaseRecord) -> ReleaseRecord:
        if action.request in record.rollback_requests:
            return record
        return rolled_back(record, action.to, now).going_back(action.request)

    await parts.amend(action.version, change)
    return f"{action.version} is held, and targets return to {action.to}"
