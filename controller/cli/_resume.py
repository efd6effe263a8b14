"""What `wsr resume` does: takes a Failed verdict out of a release record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from controller.model.errors import NotFound, Terminal
from controller.standalone.session import open_session


def resume_version(file: Path, *, state: Path | None, secrets: Path | None) -> str:
    """Take the verdict back and return one line about it. Raises Terminal when the version has no record."""
    return asyncio.run(_resume(file, state, secrets))


async def _resume(file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(file, state=state, secrets=secrets) as session:
        version = session.document.spec.version
        try:
            record = await session.world.parts.records.get(version)
        except NotFound:
            raise Terminal(
                "NotHeld", f"Version {version} has no record, so nothing holds it.", fix=""
            ) from None
        if not record.failed:
            return f"Version {version} is not held; nothing was changed."
        await session.world.parts.amend(version, lambda current: current.resumed(datetime.now(UTC)))
        return f"Version {version} is no longer held; the next pass tries it again."
