"""Takes up the request to let a version go on: once, whatever becomes of it afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.clients.parts import Parts
from controller.model.actions import Resume
from controller.model.record import ReleaseRecord


async def resume(parts: Parts, action: Resume) -> str:
    """Void in the record what keeps the version from going on, and note the request with it.

    Raises:
        NotFound, Transient, Terminal: as `RecordStore.amend` does.
    """
    now = datetime.now(UTC)

    def change(record: ReleaseRecord) -> ReleaseRecord:
        if action.request in record.resume_requests:
            return record
        if record.failed or record.held_back or action.told:
            record = record.resumed(now)
        for move in action.taken:
            if move.template in record.templates:
                template = record.templates[move.template].giving(move.expected)
                record = record.with_template(move.template, template)
        return record.taking_up(action.request)

    await parts.amend(action.version, change)
    return f"what stopped {action.version} is tried again"
