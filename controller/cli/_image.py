"""What `wsr image` does: reads the release records for the image that new workspaces use."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.model.errors import Terminal
from controller.plan.state import image_for_new
from controller.standalone.session import open_session
from controller.standalone.world import Needs


def image_of(template: str, file: Path, *, state: Path | None, secrets: Path | None) -> str:
    """Return the image.

    Raises:
        Terminal: the document lists no such template, or nothing of it is released yet.
    """
    return asyncio.run(_image(template, file, state, secrets))


async def _image(template: str, file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(
        file, state=state, secrets=secrets, needs=Needs(index=False, writing=False)
    ) as session:
        known = [each.name for each in session.document.spec.templates]
        if template not in known:
            raise Terminal(
                "Invalid", f"{file} lists no template {template!r}.", fix=f"It lists: {', '.join(known)}."
            )
        records = await session.world.parts.records.records()
        found = image_for_new(records, session.document.spec.version, template)
    if found is None:
        raise Terminal(
            "NotFound",
            f"No released image of template {template} exists yet.",
            fix=f"Run: wsr run -f {file} --once",
        )
    return found
