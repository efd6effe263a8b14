"""What `wsr resume` does: lets what failed or was not answered be tried again, and tags be taken that somebody moved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.model.errors import NotFound, Terminal
from controller.model.record import ReleaseRecord
from controller.plan.delivery import deliveries
from controller.plan.outcome import failed_targets
from controller.plan.resumption import takeable
from controller.plan.state import Absent, Blocked, Contested, Held, UpToDate, classify, outstanding_of
from controller.plan.tags import Contest, given
from controller.standalone.session import Session, open_session
from controller.standalone.store import saved_status, status_is_of
from controller.standalone.world import Needs


def resume_version(file: Path, *, state: Path | None, secrets: Path | None) -> str:
    """Say that the version may go on, and return one line about it. Raises Terminal when the version has no record."""
    return asyncio.run(_resume(file, state, secrets))


async def _resume(file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(file, state=state, secrets=secrets, needs=Needs(index=False)) as session:
        record = await _record(session)
        if record.failed:
            await session.world.parts.amend(
                record.version, lambda current: current.resumed(datetime.now(UTC))
            )
            return f"Version {record.version} is no longer held; the next pass tries it again."
        if record.published_time is not None:
            return await _resumed(session, record)
    # What stops a version that is not public may be what else the index serves, which may want a password.
    async with open_session(file, state=state, secrets=secrets) as session:
        return await _resumed(session, await _record(session))


async def _record(session: Session) -> ReleaseRecord:
    version = session.document.spec.version
    try:
        return await session.world.parts.records.get(version)
    except NotFound:
        raise Terminal("NotHeld", f"Version {version} has no record, so nothing holds it.", fix="") from None


async def _resumed(session: Session, record: ReleaseRecord) -> str:
    """Let what a version that is not held waits for be tried again, and say what that is."""
    document, parts, version = session.document, session.world.parts, record.version
    observation = await session.world.observe(document, earlier=None)
    reached = classify(document, observation, session.history())
    told = {each.template for each in deliveries(document.spec, record, observation) if each.sent}
    waiting = sorted({*record.held_back, *told, *failed_targets(document.key, record)})
    contests = takeable(outstanding_of(reached).contests)
    now = datetime.now(UTC)
    if waiting or contests:
        await parts.amend(
            version, lambda current: given(current.resumed(now) if waiting else current, contests)
        )
        return _told(version, waiting, contests)
    status = saved_status(session.folder)
    stalled = status.condition("Stalled") if status and status_is_of(session.folder, document) else None
    if stalled is None or isinstance(reached, Held | Blocked | Absent | Contested | UpToDate):
        return f"Version {version} is not held; nothing was changed."
    await parts.amend(version, lambda current: current.resumed(now))
    return f"The next pass tries again what stopped {version}: {stalled.reason}."


def _told(version: str, waiting: Sequence[str], contests: Sequence[Contest]) -> str:
    told = []
    if waiting:
        told.append(f"The next pass tries {', '.join(waiting)} of {version} again.")
    if contests:
        names = ", ".join(contest.tag for contest in contests)
        told.append(f"The next pass moves what somebody else moved to {version}: {names}.")
    return " ".join(told)
