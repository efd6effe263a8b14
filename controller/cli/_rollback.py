"""What `wsr rollback` does here: notes in the release record that the version is left, and for which."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from controller.cli.options import Here
from controller.model.errors import Terminal
from controller.plan.rollback import destination, rolled_back
from controller.standalone.session import open_session
from controller.standalone.world import Needs


def roll_back(place: Here, to: str | None) -> str:
    """Have targets go back from the document's version, and return one line about it.

    Raises:
        Terminal: there is nothing to go back from or to, or the records cannot be written.
        Transient: the registry or the engine does not answer.
    """
    return asyncio.run(_roll_back(place, to))


async def _roll_back(place: Here, to: str | None) -> str:
    async with open_session(
        place.file, state=place.state, secrets=place.secrets, needs=Needs(index=False)
    ) as session:
        version, parts = session.document.spec.version, session.world.parts
        found = destination(await parts.records.records(), version, to)
        if isinstance(found, str):
            raise Terminal(
                "RollbackRefused", found, fix="Nothing was changed. Name another one with --to VERSION."
            )
        now = datetime.now(UTC)
        await parts.amend(version, lambda current: rolled_back(current, found.version, now))
        return f"Version {version} is held; the next pass brings every target back to {found.version}."
